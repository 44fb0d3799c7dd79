import Foundation
import Oracles
import Tensors
import Testing
import Tokenization

/// Answers are numbers, a larger one is better; remembers how many questions came at once.
private actor Numbers: BatchOracle {
  nonisolated let name = "numbers"
  private(set) var batches: [Int] = []

  func probabilities(_ questions: [Question]) -> [Double] {
    batches.append(questions.count)
    return questions.map { question in
      let (a, b) = (Double(question.a.text) ?? 0, Double(question.b.text) ?? 0)
      return a > b ? 0.9 : a == b ? 0.5 : 0.1
    }
  }
}

private func record(_ answers: [String]) -> ResponseRecord {
  ResponseRecord(
    prompt: PromptRecord(prompt: .text(answers.joined())), promptIDs: [1],
    responses: answers.map { Response(text: $0, tokenIDs: [2], finish: .stop) })
}

private func make(
  _ records: [ResponseRecord], _ mode: PairMode, _ oracle: any PreferenceOracle, group: Int = 64
) async throws -> (pairs: [[PairRecord]], counts: PairCounts) {
  var pairs: [[PairRecord]] = []
  let counts = try await PairMaker(mode, perPrompt: 2, oracle: oracle, group: group).run(
    records, random: { CounterRandom(seed: 3, UInt64($0)).stream }, onRecord: { pairs.append($0) })
  return (pairs, counts)
}

@Test func bracketsOfManyPromptsAreAskedTogether() async throws {
  let judge = Numbers()
  let records = (0..<5).map { shift in record((0..<8).map { "\(($0 * 3 + shift) % 8)" }) }
  let (pairs, counts) = try await make(records, .tournament, judge)
  #expect(pairs.map { $0.map { [$0.chosen.lastText, $0.rejected.lastText] } } == [[["7", "0"]]] * 5)
  // Four games, then two and two, one and one, and the check: 11 of each prompt.
  #expect(await judge.batches == [20, 20, 10, 5])
  #expect(counts.comparisons == 55 && counts.pairs == 5 && counts.prompts == 5 && counts.ties == 0)
}

@Test(arguments: PairMode.allCases)
func groupsChangeNoPair(mode: PairMode) async throws {
  let records = (0..<7).map { shift in record((0..<(3 + shift)).map { "\(($0 * 5 + shift) % 7)" }) }
  let whole = try await make(records, mode, Numbers()).pairs
  #expect(try await make(records, mode, Numbers(), group: 2).pairs == whole)
  var alone: [[PairRecord]] = []
  for (index, record) in records.enumerated() {
    var random = CounterRandom(seed: 3, UInt64(index)).stream
    alone.append(try await mode.pairs(of: record, oracle: Numbers(), pairs: 2, using: &random))
  }
  #expect(alone == whole)
}

@Test func whatIsDroppedIsCounted() async throws {
  let (pairs, counts) = try await make(
    [record(["1", "1"]), record(["4"]), record(["1", "2"]), record([])], .tournament, Numbers())
  #expect(pairs.map(\.count) == [0, 0, 1, 0])
  #expect(counts.level == 1 && counts.tooFew == 2 && counts.reversed == 0 && counts.ties == 1 && counts.pairs == 1)
  // The ring of TournamentTests: 4 comes out best, 3 worst, and 4 loses to 3.
  let ring = try MatrixOracle(
    matrix: (0..<8).map { i in
      (0..<8).map { j in i == j || (j - i + 8) % 8 == 4 ? 0.5 : (j - i + 8) % 8 < 4 ? 0.7 : 0.3 }
    })
  let circled = try await make([record((0..<8).map { "\($0)" })], .tournament, ring).counts
  #expect(circled.level == 0 && circled.reversed == 1 && circled.pairs == 0)
  #expect(counts.summary.hasPrefix("1 pairs from 4 prompts by 2 comparisons, 1 of them ties; dropped 1 with best"))
}

@Test func winRatesOverAllComparisons() async throws {
  // 0 beats 1 and 2 narrowly; 1 beats 2 clearly. Mean rates with the meeting of oneself: (0.5 + 0.6 + 0.6)/3, …
  let oracle = try MatrixOracle(matrix: [[0.5, 0.6, 0.6], [0.4, 0.5, 0.9], [0.4, 0.1, 0.5]])
  let (pairs, counts) = try await make([record(["0", "1", "2"])], .winRate, oracle)
  let pair = try #require(pairs[0].first)
  #expect([pair.chosen.lastText, pair.rejected.lastText] == ["1", "2"])
  let (chosen, rejected) = (try #require(pair.chosenWinRate), try #require(pair.rejectedWinRate))
  #expect(abs(chosen - 0.6) < 1e-15 && abs(rejected - 1.0 / 3) < 1e-15)
  #expect(counts.comparisons == 3)
  let level = try await make([record(["3", "3", "3"])], .winRate, Numbers())
  #expect(level.pairs == [[]] && level.counts.level == 1 && level.counts.ties == 3)
}

/// Games of a ring in the order given: rock, scissors, paper.
@Test func aJudgeIsSeenThrough() async throws {
  let ring = try MatrixOracle(matrix: [
    [0.5, 0.7, 0.3, 0.9], [0.3, 0.5, 0.7, 0.9], [0.7, 0.3, 0.5, 0.9], [0.1, 0.1, 0.1, 0.5],
  ])
  let answers = [record(["0", "1", "2", "3"])]
  func label(_ chosen: String, _ rejected: String, _ probability: Double?) -> PairRecord {
    PairRecord(prompt: .text("p"), chosen: .text(chosen), rejected: .text(rejected), probability: probability)
  }
  let check = try await OracleCheck.run(
    answers, labels: [label("0", "1", nil), label("0", "2", nil), label("0", "2", 0.2), label("0", "3", 0.5)],
    oracle: ring)
  #expect(check.pairs == 6 && check.triples == 4 && check.cycles == 0.25 && check.ties == 0)
  #expect(check.swapError < 1e-15 && check.swapFlips == 0 && abs(check.firstPlace - 0.5) < 1e-15)
  #expect(check.labels == 3 && check.agreed == 2)

  /// Takes the first answer, whatever it is.
  struct First: PreferenceOracle {
    let name = "first"
    func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) -> Double { 0.75 }
  }
  let first = try await OracleCheck.run(answers, oracle: First())
  #expect(first.swapError == 0.5 && first.swapFlips == 1 && first.firstPlace == 0.75 && first.ties == 1)
  #expect(first.triples == 0 && first.cycles == 0)
}

private func * (list: [[[String]]], count: Int) -> [[[String]]] { (0..<count).flatMap { _ in list } }
