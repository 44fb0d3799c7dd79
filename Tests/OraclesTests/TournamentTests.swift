import Oracles
import Testing
import Tokenization

/// Remembers the games played.
private actor Games {
  private(set) var played: [[Int]] = []
  func add(_ first: Int, _ second: Int) { played.append([first, second]) }
}

private func run(_ count: Int, _ beats: @escaping @Sendable (Int, Int) -> Double) async throws -> (
  PairChoice?, [[Int]]
) {
  let games = Games()
  let tournament = Tournament(count: count) { first, second in
    await games.add(first, second)
    return beats(first, second)
  }
  return (try await tournament.run(), await games.played)
}

/// Strength by position: 3 is the best, 6 the worst.
private let strengths = [4.0, 5, 3, 9, 6, 2, 0, 1]

@Test func knockOutOfEight() async throws {
  let (choice, games) = try await run(8) { strengths[$0] > strengths[$1] ? 0.9 : 0.1 }
  #expect(choice == PairChoice(chosen: 3, rejected: 6, probability: 0.9))
  #expect(games.count == 11)
  #expect(games.prefix(4) == [[0, 1], [2, 3], [4, 5], [6, 7]])
  // Winners 1, 3, 4, 7 and losers 0, 2, 5, 6, then the check.
  #expect(Set(games.dropFirst(4)) == [[1, 3], [0, 2], [4, 7], [5, 6], [3, 4], [2, 6], [3, 6]])
  #expect(games.last == [3, 6])
}

@Test func everybodyTiedIsDropped() async throws {
  let (choice, games) = try await run(8) { _, _ in 0.5 }
  #expect(choice == nil)
  // The first of each game wins: 0 comes out best, 7 worst.
  #expect(games.last == [0, 7])
}

@Test func intransitiveTastes() async throws {
  // A ring: each beats the one after it. 0 and 4 reach the final on games over the ring, and the last check decides.
  let ring: @Sendable (Int, Int) -> Double = { first, second in (second - first + 8) % 8 < 4 ? 0.7 : 0.3 }
  let (choice, games) = try await run(8, ring)
  #expect(games.count == 11)
  // Winners 0 2 4 6 → 0 4 → 4 ((4−0) is not below 4); losers 1 3 5 7 → 3 7 → loser of (3, 7): 3.
  #expect(games.last == [4, 3])
  // (3 − 4 + 8) mod 8 = 7: 4 loses to 3, so there is no strict winner.
  #expect(choice == nil)
}

@Test(arguments: [3, 4, 5, 7, 16])
func otherNumbersAreScanned(count: Int) async throws {
  let (choice, games) = try await run(count) { $0 > $1 ? 0.8 : 0.2 }
  #expect(choice == PairChoice(chosen: count - 1, rejected: 0, probability: 0.8))
  #expect(games.count == 2 * (count - 1) + 1)
}

@Test func twoAnswersPlayOnce() async throws {
  for (probability, want) in [
    (0.7, PairChoice(chosen: 0, rejected: 1, probability: 0.7)),
    (0.25, PairChoice(chosen: 1, rejected: 0, probability: 0.75)), (0.5, nil),
  ] {
    let (choice, games) = try await run(2) { _, _ in probability }
    #expect(choice == want)
    #expect(games.count == 1)
  }
}

@Test func oneAnswerIsNoPair() async {
  await #expect(throws: OracleError.tooFewAnswers(count: 1)) { try await run(1) { _, _ in 1 } }
}
