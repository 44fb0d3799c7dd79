/// Best and worst of K answers by pairwise comparison, as in section 4.1 of INPO (arXiv 2407.00617).
/// The pair it returns is no longer a draw from the policy; `IIDPairs` gives those.

import Tokenization

/// Two of the answers to one prompt.
public struct PairChoice: Hashable, Sendable {
  public var chosen: Int
  public var rejected: Int
  /// P(chosen ≻ rejected) as the oracle gave it.
  public var probability: Double

  public init(chosen: Int, rejected: Int, probability: Double) {
    self.chosen = chosen
    self.rejected = rejected
    self.probability = probability
  }
}

/// Eight answers play a knock-out with 11 comparisons: four first games; the winners go on and the winner is kept, the
/// losers go on and the loser is kept; the two that remain meet once more. Two answers play one game. Any other number
/// is scanned in order, once for the best and once for the worst, then the two meet.
public struct Tournament: Sendable {
  private let beats: @Sendable (Int, Int) async throws -> Double
  private let count: Int

  /// - Parameter beats: P(answer i ≻ answer j). A game is won by its first answer at one half or more.
  public init(count: Int, beats: @escaping @Sendable (Int, Int) async throws -> Double) {
    self.count = count
    self.beats = beats
  }

  public init(_ record: ResponseRecord, oracle: any PreferenceOracle) {
    let candidates = record.responses.map(Candidate.init)
    self.init(count: candidates.count) { first, second in
      try await oracle.probability(that: candidates[first], beats: candidates[second], for: record.prompt)
    }
  }

  /// `nil` when the best does not strictly beat the worst: the prompt says nothing and is dropped.
  ///
  /// - Throws: `OracleError.tooFewAnswers` below two answers, and what the oracle throws.
  public func run() async throws -> PairChoice? {
    guard count >= 2 else { throw OracleError.tooFewAnswers(count: count) }
    if count == 2 {
      let probability = try await beats(0, 1)
      if probability == 0.5 { return nil }
      return probability > 0.5
        ? PairChoice(chosen: 0, rejected: 1, probability: probability)
        : PairChoice(chosen: 1, rejected: 0, probability: 1 - probability)
    }
    let (best, worst) = count == 8 ? try await knockOut() : try await scan()
    guard best != worst else { return nil }
    let probability = try await beats(best, worst)
    return probability > 0.5 ? PairChoice(chosen: best, rejected: worst, probability: probability) : nil
  }

  private func play(_ first: Int, _ second: Int) async throws -> (winner: Int, loser: Int) {
    try await beats(first, second) >= 0.5 ? (first, second) : (second, first)
  }

  private func knockOut() async throws -> (best: Int, worst: Int) {
    var winners: [Int] = []
    var losers: [Int] = []
    for first in stride(from: 0, to: count, by: 2) {
      let game = try await play(first, first + 1)
      winners.append(game.winner)
      losers.append(game.loser)
    }
    while winners.count > 1 {
      var stillWinning: [Int] = []
      var stillLosing: [Int] = []
      for i in stride(from: 0, to: winners.count, by: 2) {
        stillWinning.append(try await play(winners[i], winners[i + 1]).winner)
        stillLosing.append(try await play(losers[i], losers[i + 1]).loser)
      }
      (winners, losers) = (stillWinning, stillLosing)
    }
    return (winners[0], losers[0])
  }

  private func scan() async throws -> (best: Int, worst: Int) {
    var best = 0
    for next in 1..<count { best = try await play(best, next).winner }
    var worst = 0
    for next in 1..<count { worst = try await play(worst, next).loser }
    return (best, worst)
  }
}
