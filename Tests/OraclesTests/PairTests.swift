import Oracles
import Tensors
import Testing
import Tokenization

@Test func pairsAreDisjointAndEvenlySpread() throws {
  var counts: [Int: Int] = [:]
  for seed in 0..<2800 {
    var random = CounterRandom(seed: UInt64(seed)).stream
    let pairs = try IIDPairs.draw(from: 8, pairs: 4, using: &random)
    #expect(Set(pairs.flatMap { [$0.first, $0.second] }) == Set(0..<8))
    let one = pairs[0]
    counts[one.first * 8 + one.second, default: 0] += 1
  }
  // 56 ordered pairs, 50 each; binomial deviation 7. Five of them leave one run in 10⁵.
  #expect(counts.count == 56 && counts.values.allSatisfy { abs($0 - 50) < 35 })
}

@Test func asManyPairsAsThereAreAnswersFor() throws {
  var random = CounterRandom(seed: 1).stream
  #expect(try IIDPairs.draw(from: 5, pairs: 9, using: &random).count == 2)
  #expect(try IIDPairs.draw(from: 2, pairs: 1, using: &random).count == 1)
  #expect(throws: OracleError.tooFewAnswers(count: 1)) { try IIDPairs.draw(from: 1, pairs: 1, using: &random) }
}

@Test func winnersComeUpAsOftenAsTheirProbability() {
  var random = CounterRandom(seed: 7).stream
  let wins = (0..<10_000).filter { _ in
    IIDPairs.label(first: 3, second: 5, probability: 0.8, using: &random)
      == PairChoice(chosen: 3, rejected: 5, probability: 0.8)
  }.count
  // Binomial deviation √(10⁴·0.8·0.2) = 40; four of them.
  #expect(abs(wins - 8000) < 160)
  for _ in 0..<1000 {
    #expect(IIDPairs.label(first: 0, second: 1, probability: 1, using: &random).chosen == 0)
    #expect(IIDPairs.label(first: 0, second: 1, probability: 0, using: &random).chosen == 1)
  }
}

private let record = ResponseRecord(
  prompt: PromptRecord(
    id: .integer(7), prompt: .messages([.init(role: "user", content: "Pick.")]), extra: ["topic": .string("x")]),
  promptIDs: [1, 2],
  responses: [
    Response(text: "0", tokenIDs: [10], finish: .stop), Response(text: "1", tokenIDs: [11], finish: .stop),
  ])

private let table = [[0.5, 0.2], [0.8, 0.5]]

@Test func softPairsCarryTheProbabilityOfTheBetterAnswer() async throws {
  let oracle = try MatrixOracle(matrix: table)
  for seed in 0..<8 {
    var random = CounterRandom(seed: UInt64(seed)).stream
    let pairs = try await PairMode.soft.pairs(of: record, oracle: oracle, using: &random)
    #expect(
      pairs == [
        PairRecord(
          id: .integer(7), prompt: record.prompt.prompt,
          chosen: .messages([.init(role: "assistant", content: "1")]),
          rejected: .messages([.init(role: "assistant", content: "0")]), probability: 0.8, promptIDs: [1, 2],
          chosenIDs: [11], rejectedIDs: [10], extra: ["topic": .string("x")])
      ])
  }
}

@Test func hardPairsCarryNone() async throws {
  let oracle = try MatrixOracle(matrix: table)
  var random = CounterRandom(seed: 3).stream
  let tournament = try await PairMode.tournament.pairs(of: record, oracle: oracle, using: &random)
  #expect(tournament.map(\.chosenIDs) == [[11]] && tournament[0].probability == nil)
  var chosen: Set<[UInt32]?> = []
  for _ in 0..<64 {
    let pairs = try await PairMode.iid.pairs(of: record, oracle: oracle, using: &random)
    #expect(pairs.count == 1 && pairs[0].probability == nil)
    chosen.insert(pairs[0].chosenIDs)
  }
  // Either answer wins sometimes: 0.8⁶⁴ is below 10⁻⁶.
  #expect(chosen == [[10], [11]])
  let tied = try MatrixOracle(matrix: [[0.5, 0.5], [0.5, 0.5]])
  #expect(try await PairMode.tournament.pairs(of: record, oracle: tied, using: &random).isEmpty)
}
