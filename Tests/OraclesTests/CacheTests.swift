import Foundation
import Oracles
import TestSupport
import Testing
import Tokenization

/// Prefers shorter texts a little more than it prefers the first one; remembers its questions.
private actor Biased: BatchOracle {
  nonisolated let name = "biased"
  private(set) var asked: [Question] = []

  func probabilities(_ questions: [Question]) -> [Double] {
    asked += questions
    return questions.map { 0.5 + ($0.a.text.count < $0.b.text.count ? 0.25 : -0.25) + 0.125 }
  }
}

private func question(_ a: String, _ b: String) -> Question {
  Question(PromptRecord(prompt: .text("p")), a: Candidate(text: a), b: Candidate(text: b))
}

@Test func bothOrdersAreAveraged() async throws {
  let judge = Biased()
  // 0.875 and 1 − 0.375: the eighth of the first place cancels.
  let answers = try await SwappedOracle(judge).probabilities([question("a", "bb"), question("bb", "a")])
  #expect(answers == [0.75, 0.25])
  #expect(await judge.asked.count == 4)
}

@Test func nothingIsAskedTwice() async throws {
  let path = try temporaryFolder() + "/cache.jsonl"
  let judge = Biased()
  let agree = CachedOracle(judge, identity: "one", ordersAgree: true, cache: JudgementCache(path: path), batch: 2)
  let (ab, ba, ac, same) = (question("a", "bb"), question("bb", "a"), question("a", "ccc"), question("a", "a"))
  let answers = try await agree.probabilities([ab, ba, ac, ab, same, question("x", "yy")])
  #expect(answers == [0.875, 0.125, 0.875, 0.875, 0.5, 0.875])
  #expect(await judge.asked == [ab, ac, question("x", "yy")])
  // Another day, the same file: nothing is asked. Another judge or another prompt: everything.
  let again = CachedOracle(judge, identity: "one", ordersAgree: true, cache: JudgementCache(path: path))
  #expect(try await again.probabilities([ba, ac]) == [0.125, 0.875])
  #expect(await judge.asked.count == 3)
  let apart = CachedOracle(judge, identity: "one", ordersAgree: false, cache: JudgementCache(path: path))
  #expect(try await apart.probabilities([ba]) == [0.375])
  #expect(await judge.asked.count == 4)
  let other = CachedOracle(judge, identity: "two", ordersAgree: true, cache: JudgementCache(path: path))
  _ = try await other.probabilities([ab])
  var elsewhere = ac
  elsewhere.prompt = PromptRecord(prompt: .text("q"))
  _ = try await again.probabilities([elsewhere])
  #expect(await judge.asked.count == 6)
}

@Test func aRecordsIdIsNotSeenByJudges() async throws {
  let judge = Biased()
  let cached = CachedOracle(judge, identity: "one", ordersAgree: true, cache: JudgementCache())
  var named = question("a", "bb")
  named.prompt.id = .integer(7)
  named.a.tokenIDs = [1, 2]
  #expect(try await cached.probabilities([question("a", "bb"), named]) == [0.875, 0.875])
  #expect(await judge.asked.count == 1)
}
