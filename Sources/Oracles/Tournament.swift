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

/// What is left to play, as a value: the caller plays the games, many brackets' at once if it likes.
///
/// Eight answers play a knock-out with 11 comparisons: four first games; the winners go on and the winner is kept, the
/// losers go on and the loser is kept; the two that remain meet once more. Two answers play one game. Any other number
/// is scanned in order, for the best and for the worst, then the two meet.
public struct Bracket: Equatable, Sendable {
  /// (first, second) of the games to be played now; none when the bracket is decided.
  public private(set) var games: [[Int]]
  /// Once decided: the pair, or `nil` when the best does not strictly beat the worst. The prompt then says nothing.
  public private(set) var choice: PairChoice?
  /// P(best ≻ worst) of the last game.
  public private(set) var last: Double?
  private var stage: Stage

  private enum Stage: Equatable {
    case only
    case knockOut(opening: Bool)
    case scan(best: Int, worst: Int, next: Int)
    case check
    case decided
  }

  /// - Throws: `OracleError.tooFewAnswers` below two answers.
  public init(count: Int) throws(OracleError) {
    guard count >= 2 else { throw .tooFewAnswers(count: count) }
    self.count = count
    switch count {
    case 2: (stage, games) = (.only, [[0, 1]])
    case 8: (stage, games) = (.knockOut(opening: true), stride(from: 0, to: 8, by: 2).map { [$0, $0 + 1] })
    default: (stage, games) = (.scan(best: 0, worst: 0, next: 1), [[0, 1], [0, 1]])
    }
  }
  private let count: Int

  /// - Parameter probabilities: P(first ≻ second) of each of `games`. A game is won by its first answer at one half or more.
  public mutating func take(_ probabilities: [Double]) {
    precondition(probabilities.count == games.count, "\(probabilities.count) results of \(games.count) games")
    let played = zip(games, probabilities).map { game, probability in
      probability >= 0.5 ? (winner: game[0], loser: game[1]) : (winner: game[1], loser: game[0])
    }
    switch stage {
    case .only:
      // A tie is dropped; otherwise whoever wins is chosen.
      let probability = probabilities[0]
      decide(played[0].winner, played[0].loser, max(probability, 1 - probability))
    case .knockOut(opening: true):
      meet(played.map(\.winner), played.map(\.loser))
    case .knockOut(opening: false):
      let half = played.count / 2
      meet(played[..<half].map(\.winner), played[half...].map(\.loser))
    case .scan(_, _, let next):
      let (best, worst) = (played[0].winner, played[1].loser)
      if next + 1 < count {
        (stage, games) = (.scan(best: best, worst: worst, next: next + 1), [[best, next + 1], [worst, next + 1]])
      } else {
        check(best, worst)
      }
    case .check: decide(games[0][0], games[0][1], probabilities[0])
    case .decided: break
    }
  }

  /// Winners meet winners, losers meet losers, until one of each is left.
  private mutating func meet(_ winners: [Int], _ losers: [Int]) {
    guard winners.count > 1 else { return check(winners[0], losers[0]) }
    stage = .knockOut(opening: false)
    games = [winners, losers].flatMap { side in
      stride(from: 0, to: side.count, by: 2).map { [side[$0], side[$0 + 1]] }
    }
  }

  private mutating func check(_ best: Int, _ worst: Int) {
    if best == worst { return decide(best, worst, 0.5) }
    (stage, games) = (.check, [[best, worst]])
  }

  private mutating func decide(_ best: Int, _ worst: Int, _ probability: Double) {
    (stage, games, last) = (.decided, [], probability)
    if probability > 0.5 { choice = PairChoice(chosen: best, rejected: worst, probability: probability) }
  }
}

/// A bracket played by itself, game by game.
public struct Tournament: Sendable {
  private let beats: @Sendable (Int, Int) async throws -> Double
  private let count: Int

  /// - Parameter beats: P(answer i ≻ answer j).
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
    var bracket = try Bracket(count: count)
    while !bracket.games.isEmpty {
      var results: [Double] = []
      for game in bracket.games { results.append(try await beats(game[0], game[1])) }
      bracket.take(results)
    }
    return bracket.choice
  }
}
