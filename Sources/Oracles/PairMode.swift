/// From the answers to a prompt to preference pairs, in one of three ways.

import Tokenization

public enum PairMode: String, CaseIterable, Codable, Sendable {
  /// The paper's recipe: best against worst.
  case tournament
  /// Independent pairs, the winner drawn with the oracle's probability.
  case iid
  /// Independent pairs with the probability itself as label. A pair of probability ½ is kept: its target is 0, which says
  /// that its answers are to stay level. One of equal answers adds a constant to the loss.
  case soft

  /// - Parameter pairs: for the independent modes, how many pairs a prompt may give (at most half its answers).
  /// - Returns: records ready for training, without log-probs; none when a tournament has no strict winner.
  /// - Throws: `OracleError.tooFewAnswers`, and what the oracle throws.
  public func pairs(
    of record: ResponseRecord, oracle: any PreferenceOracle, pairs: Int = 1,
    using random: inout some RandomNumberGenerator
  ) async throws -> [PairRecord] {
    if self == .tournament {
      return try await Tournament(record, oracle: oracle).run().map { [PairRecord(record, $0, soft: false)] } ?? []
    }
    let candidates = record.responses.map(Candidate.init)
    var found: [PairRecord] = []
    for (first, second) in try IIDPairs.draw(from: candidates.count, pairs: pairs, using: &random) {
      let probability = try await oracle.probability(
        that: candidates[first], beats: candidates[second], for: record.prompt)
      let choice =
        self == .iid
        ? IIDPairs.label(first: first, second: second, probability: probability, using: &random)
        : probability >= 0.5
          ? PairChoice(chosen: first, rejected: second, probability: probability)
          : PairChoice(chosen: second, rejected: first, probability: 1 - probability)
      found.append(PairRecord(record, choice, soft: self == .soft))
    }
    return found
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
