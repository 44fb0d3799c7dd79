/// What kind of judge an oracle is: does the order matter to it, does it tie, do its tastes run in circles, does it agree with labels.

import Tokenization

/// Facts of a judge on a sample of answers. Shares are of what was counted beside them.
public struct OracleCheck: Codable, Equatable, Sendable {
  public var pairs = 0
  /// Mean of |P(a ≻ b) + P(b ≻ a) − 1|: 0 for a judge that does not mind the order.
  public var swapError = 0.0
  /// Share of pairs in which another answer wins when the order is turned.
  public var swapFlips = 0.0
  /// Mean probability of the answer that is read first: one half for a judge without a favourite place.
  public var firstPlace = 0.5
  /// Share of pairs at exactly ½, over both orders.
  public var ties = 0.0
  public var triples = 0
  /// Share of triples without ties in which each answer beats one and loses to one. A transitive judge has none; one that tosses
  /// a coin has a quarter.
  public var cycles = 0.0
  public var labels = 0
  /// Labels the judge agrees with; a tie counts half.
  public var agreed = 0.0

  enum CodingKeys: String, CodingKey {
    case pairs, ties, triples, cycles, labels, agreed
    case swapError = "swap_error"
    case swapFlips = "swap_flips"
    case firstPlace = "first_place"
  }

  public init() {}

  /// - Parameters:
  ///   - records: answers that are compared, each with each of its prompt.
  ///   - labels: pairs whose chosen answer is known to be the better one; a probability below ½ turns that round.
  ///   - oracle: asked in both orders, so let it not average them itself.
  ///   - answers: how many of a prompt are looked at.
  /// - Throws: what the oracle throws.
  public static func run(
    _ records: [ResponseRecord], labels: [PairRecord] = [], oracle: any PreferenceOracle, answers: Int = 6
  ) async throws -> OracleCheck {
    var check = OracleCheck()
    var tally = Tally()
    for record in records {
      let candidates = record.responses.prefix(answers).map(Candidate.init)
      let games = candidates.indices.flatMap { i in candidates.indices.dropFirst(i + 1).map { (i, $0) } }
      let means = try await tally.ask(
        games.map { Question(record.prompt, a: candidates[$0.0], b: candidates[$0.1]) }, oracle)
      check.pairs += games.count
      var table = [[Double]](repeating: [Double](repeating: 0.5, count: candidates.count), count: candidates.count)
      for (game, mean) in zip(games, means) {
        if mean == 0.5 { check.ties += 1 }
        table[game.0][game.1] = mean
        table[game.1][game.0] = 1 - mean
      }
      let circles = Self.circles(table)
      check.triples += circles.triples
      check.cycles += Double(circles.cycles)
    }
    let known = labels.filter { $0.probability != 0.5 }
    let verdicts = try await tally.ask(
      known.map {
        Question(
          PromptRecord(prompt: $0.prompt), a: Candidate(text: $0.chosen.lastText),
          b: Candidate(text: $0.rejected.lastText))
      }, oracle)
    check.labels = known.count
    for (label, verdict) in zip(known, verdicts) {
      let isTurned = (label.probability ?? 1) < 0.5
      check.agreed += verdict == 0.5 ? 0.5 : (verdict > 0.5) != isTurned ? 1 : 0
    }
    let asked = Double(max(tally.count, 1))
    check.swapError = tally.error / asked
    check.swapFlips = Double(tally.flips) / asked
    if tally.count > 0 { check.firstPlace = tally.first / (2 * asked) }
    check.ties /= Double(max(check.pairs, 1))
    check.cycles /= Double(max(check.triples, 1))
    return check
  }

  /// What both orders of all questions show.
  private struct Tally {
    var count = 0
    var error = 0.0
    var flips = 0
    var first = 0.0

    /// - Returns: the mean over both orders of P(a ≻ b).
    mutating func ask(_ questions: [Question], _ oracle: any PreferenceOracle) async throws -> [Double] {
      guard !questions.isEmpty else { return [] }
      let answers = try await oracle.probabilities(questions + questions.map(\.swapped))
      count += questions.count
      return questions.indices.map { i in
        let (straight, turned) = (answers[i], answers[questions.count + i])
        error += abs(straight + turned - 1)
        first += straight + turned
        if (straight > 0.5 && turned > 0.5) || (straight < 0.5 && turned < 0.5) { flips += 1 }
        return (straight + (1 - turned)) / 2
      }
    }
  }

  /// Triples without ties, and those among them that run in a circle.
  static func circles(_ table: [[Double]]) -> (triples: Int, cycles: Int) {
    var (triples, cycles) = (0, 0)
    let all = table.indices
    for i in all {
      for j in all.dropFirst(i + 1) {
        for k in all.dropFirst(j + 1) where table[i][j] != 0.5 && table[j][k] != 0.5 && table[i][k] != 0.5 {
          triples += 1
          let (ij, jk, ki) = (table[i][j] > 0.5, table[j][k] > 0.5, table[i][k] < 0.5)
          if ij == jk && jk == ki { cycles += 1 }
        }
      }
    }
    return (triples, cycles)
  }
}
