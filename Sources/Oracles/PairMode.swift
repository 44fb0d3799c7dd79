/// From the answers to a prompt to preference pairs, in one of four ways.

import Tokenization

public enum PairMode: String, CaseIterable, Codable, Sendable {
  /// The paper's recipe: best against worst by tournament.
  case tournament
  /// Best against worst by mean win rate over all comparisons, as COMAL takes its best. The pair carries both win rates, an
  /// answer's meeting with itself counted as ½: the estimates that SPPO wants.
  case winRate = "win-rate"
  /// Independent pairs, the winner drawn with the oracle's probability. The only ones that Proposition 6 covers.
  case iid
  /// Independent pairs with the probability itself as label. A pair of probability ½ is kept: its target is 0, which says
  /// that its answers are to stay level. One of equal answers adds a constant to the loss.
  case soft

  /// True for modes that draw pairs.
  public var isIndependent: Bool { self == .iid || self == .soft }

  /// The pairs of one record; `PairMaker` makes those of many, and asks the oracle for all of them at once.
  ///
  /// - Parameter pairs: for the independent modes, how many pairs a prompt may give (at most half its answers).
  /// - Returns: records ready for training, without log-probs; none when there is no strict winner.
  /// - Throws: `OracleError.tooFewAnswers`, and what the oracle throws.
  public func pairs(
    of record: ResponseRecord, oracle: any PreferenceOracle, pairs: Int = 1,
    using random: inout some RandomNumberGenerator
  ) async throws -> [PairRecord] {
    var draft = try PairDraft(record, self, pairs: pairs, using: &random)
    while !draft.questions.isEmpty {
      draft.take(try await oracle.probabilities(draft.questions), using: &random)
    }
    return draft.found
  }
}

/// The pairs of one record while its questions are being answered.
struct PairDraft {
  /// What is to be asked now; nothing when `found` is final.
  private(set) var questions: [Question] = []
  private(set) var found: [PairRecord] = []
  /// P(best ≻ worst) of the last check, for the modes that have one.
  private(set) var last: Double?
  private let record: ResponseRecord
  private let candidates: [Candidate]
  private let mode: PairMode
  private var bracket: Bracket?
  private var games: [[Int]] = []

  init(
    _ record: ResponseRecord, _ mode: PairMode, pairs: Int, using random: inout some RandomNumberGenerator
  ) throws(OracleError) {
    self.record = record
    self.mode = mode
    candidates = record.responses.map(Candidate.init)
    let count = candidates.count
    guard count >= 2 else { throw .tooFewAnswers(count: count) }
    switch mode {
    case .tournament:
      let bracket = try Bracket(count: count)
      self.bracket = bracket
      games = bracket.games
    case .winRate: games = (0..<count).flatMap { i in ((i + 1)..<count).map { [i, $0] } }
    case .iid, .soft:
      games = try IIDPairs.draw(from: count, pairs: pairs, using: &random).map { [$0.first, $0.second] }
    }
    ask()
  }

  private mutating func ask() {
    questions = games.map { Question(record.prompt, a: candidates[$0[0]], b: candidates[$0[1]]) }
  }

  /// - Parameter probabilities: one for each of `questions`.
  mutating func take(_ probabilities: [Double], using random: inout some RandomNumberGenerator) {
    let results = zip(games, probabilities)
    switch mode {
    case .tournament:
      bracket?.take(probabilities)
      last = bracket?.last
      if let choice = bracket?.choice { found = [PairRecord(record, choice, soft: false)] }
      games = bracket?.games ?? []
    case .winRate:
      found = Self.byWinRate(results, of: record).map { [$0] } ?? []
      last = found.isEmpty ? 0.5 : 1
      games = []
    case .iid:
      found = results.map { game, probability in
        let choice = IIDPairs.label(first: game[0], second: game[1], probability: probability, using: &random)
        return PairRecord(record, choice, soft: false)
      }
      games = []
    case .soft:
      found = results.map { game, probability in
        let choice =
          probability >= 0.5
          ? PairChoice(chosen: game[0], rejected: game[1], probability: probability)
          : PairChoice(chosen: game[1], rejected: game[0], probability: 1 - probability)
        return PairRecord(record, choice, soft: true)
      }
      games = []
    }
    ask()
  }

  /// The answer of the highest mean win rate against the one of the lowest, the first of equal ones; nil when all are level.
  private static func byWinRate(
    _ results: Zip2Sequence<[[Int]], [Double]>, of record: ResponseRecord
  ) -> PairRecord? {
    var rates = [Double](repeating: 0.5, count: record.responses.count)
    var direct: [[Int]: Double] = [:]
    for (game, probability) in results {
      rates[game[0]] += probability
      rates[game[1]] += 1 - probability
      direct[game] = probability
      direct[[game[1], game[0]]] = 1 - probability
    }
    let best = rates.indices.reduce(0) { rates[$1] > rates[$0] ? $1 : $0 }
    let worst = rates.indices.reduce(0) { rates[$1] < rates[$0] ? $1 : $0 }
    guard rates[best] > rates[worst] else { return nil }
    let choice = PairChoice(chosen: best, rejected: worst, probability: direct[[best, worst]] ?? 0.5)
    var pair = PairRecord(record, choice, soft: false)
    pair.chosenWinRate = rates[best] / Double(rates.count)
    pair.rejectedWinRate = rates[worst] / Double(rates.count)
    return pair
  }
}

extension PairRecord {
  /// Answers take the shape of the prompt: text for text, one assistant turn for messages.
  ///
  /// - Parameter soft: keep the probability as the label.
  public init(_ record: ResponseRecord, _ choice: PairChoice, soft: Bool) {
    let (chosen, rejected) = (record.responses[choice.chosen], record.responses[choice.rejected])
    func content(_ response: Response) -> PromptRecord.Content {
      switch record.prompt.prompt {
      case .text: .text(response.text)
      case .messages: .messages([.init(role: "assistant", content: response.text)])
      }
    }
    func ids(_ response: Response) -> [UInt32]? { response.tokenIDs.isEmpty ? nil : response.tokenIDs }
    self.init(
      id: record.prompt.id, prompt: record.prompt.prompt, chosen: content(chosen), rejected: content(rejected),
      probability: soft ? choice.probability : nil, promptIDs: record.promptIDs, chosenIDs: ids(chosen),
      rejectedIDs: ids(rejected), extra: record.prompt.extra)
  }
}
