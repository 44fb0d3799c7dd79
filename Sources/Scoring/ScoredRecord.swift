/// What `RecordScorer` writes: the record with its scores as new fields.

import Llama
import Tensors
import Tokenization

/// Log-probabilities of one answer, in nats.
public struct AnswerScore: Sendable {
  /// The tokens that were scored. Of a whole text all but the first, which nothing predicts.
  public let tokenIDs: [TokenID]
  /// One per policy, in the order of the scorer's policies.
  public let scores: [ResponseScore]
  /// Which of them is the reference.
  public let reference: Int?

  /// Under the first policy, one per token.
  public var logps: [Float] { scores[0].logps }
  public var logp: Double { scores[0].logp }
  /// Under the reference, when there is one.
  public var referenceLogps: [Float]? { reference.map { scores[$0].logps } }
  public var referenceLogp: Double? { reference.map { scores[$0].logp } }
  /// log π(y|x) − log π_ref(y|x) under the first policy.
  public var ratio: Double? { ratio(0) }

  /// The same under another policy; nil without a reference.
  public func ratio(_ policy: Int) -> Double? { referenceLogp.map { scores[policy].logp - $0 } }
}

/// A record and the scores of its answers, written as the record with the new fields.
public struct ScoredRecord: Encodable, Sendable {
  public let record: ScoreRecord
  /// One per answer; for a pair chosen, then rejected.
  public let scores: [AnswerScore]
  /// Answers whose text, joined to the prompt, was not split where the prompt ends.
  public let splitInsideToken: Bool
  /// Tokens that were run for it, a prompt once for all its answers.
  public let distinctTokens: Int
  /// What precedes a whole text's scored tokens.
  let firstID: TokenID?
  let detail: ScoreDetail
  /// Names of the policies when each is written under its own.
  let names: [String]?
  let tokenizer: Tokenizer

  public func encode(to encoder: any Encoder) throws {
    try record.fields.encode(to: encoder)
    var container = encoder.container(keyedBy: Field.self)
    switch record.answers {
    case .one, .whole:
      try encode(scores[0], into: &container)
    case .several:
      var list = container.nestedUnkeyedContainer(forKey: .scores)
      for score in scores {
        var one = list.nestedContainer(keyedBy: Field.self)
        try encode(score, into: &one)
      }
    case .pair:
      try encode(chosen: scores[0], rejected: scores[1], into: &container)
    }
  }

  // MARK: One answer

  private func encode(_ score: AnswerScore, into container: inout KeyedEncodingContainer<Field>) throws {
    try container.encode(score.tokenIDs.count, forKey: .tokens)
    if detail.perToken { try container.encode([firstID].compactMap { $0 } + score.tokenIDs, forKey: .tokenIDs) }
    guard let names else {
      try encode(score, policy: 0, into: &container)
      try container.encodeIfPresent(score.referenceLogp, forKey: .referenceLogp)
      guard detail.perToken, let logps = score.referenceLogps else { return }
      return try container.encode(listed(logps), forKey: .referenceTokenLogps)
    }
    var policies = container.nestedContainer(keyedBy: Field.self, forKey: .policies)
    for (policy, name) in names.enumerated() {
      var one = policies.nestedContainer(keyedBy: Field.self, forKey: Field(name))
      try encode(score, policy: policy, into: &one)
    }
  }

  private func encode(
    _ score: AnswerScore, policy: Int, into container: inout KeyedEncodingContainer<Field>
  ) throws {
    try container.encode(score.scores[policy].logp, forKey: .logp)
    if policy != score.reference { try container.encodeIfPresent(score.ratio(policy), forKey: .ratio) }
    try encodeTokens(score.scores[policy], prefix: "", into: &container)
  }

  // MARK: A pair

  private func encode(
    chosen: AnswerScore, rejected: AnswerScore, into container: inout KeyedEncodingContainer<Field>
  ) throws {
    if detail.perToken {
      try container.encode(chosen.tokenIDs, forKey: .chosenIDs)
      try container.encode(rejected.tokenIDs, forKey: .rejectedIDs)
    }
    guard let names else {
      try encode(chosen, rejected, policy: 0, into: &container)
      try container.encodeIfPresent(chosen.referenceLogp, forKey: .referenceChosenLogps)
      try container.encodeIfPresent(rejected.referenceLogp, forKey: .referenceRejectedLogps)
      guard detail.perToken else { return }
      try container.encodeIfPresent(chosen.referenceLogps, forKey: .referenceChosenTokenLogps)
      return try container.encodeIfPresent(rejected.referenceLogps, forKey: .referenceRejectedTokenLogps)
    }
    var policies = container.nestedContainer(keyedBy: Field.self, forKey: .policies)
    for (policy, name) in names.enumerated() {
      var one = policies.nestedContainer(keyedBy: Field.self, forKey: Field(name))
      try encode(chosen, rejected, policy: policy, into: &one)
    }
  }

  private func encode(
    _ chosen: AnswerScore, _ rejected: AnswerScore, policy: Int, into container: inout KeyedEncodingContainer<Field>
  ) throws {
    try container.encode(chosen.scores[policy].logp, forKey: .chosenLogps)
    try container.encode(rejected.scores[policy].logp, forKey: .rejectedLogps)
    if policy != chosen.reference, let up = chosen.ratio(policy), let down = rejected.ratio(policy) {
      try container.encode(up - down, forKey: .ratio)
    }
    try encodeTokens(chosen.scores[policy], prefix: "chosen_", into: &container)
    try encodeTokens(rejected.scores[policy], prefix: "rejected_", into: &container)
  }

  // MARK: Tokens

  private func encodeTokens(
    _ score: ResponseScore, prefix: String, into container: inout KeyedEncodingContainer<Field>
  ) throws {
    guard detail.perToken else { return }
    try container.encode(listed(score.logps), forKey: Field(prefix + "token_logps"))
    guard let distributions = score.distributions else { return }
    if detail.entropy {
      try container.encode(listed(distributions.map(\.entropy)), forKey: Field(prefix + "token_entropies"))
    }
    if detail.top > 0 {
      let top = distributions.map {
        $0.top.map { Alternative(id: $0.token, text: tokenizer.piece($0.token), logp: $0.logp) }
      }
      try container.encode(listed(top), forKey: Field(prefix + "token_top"))
    }
  }

  /// The first token of a whole text has nothing before it: null.
  private func listed<Value>(_ values: [Value]) -> [Value?] { (firstID == nil ? [] : [nil]) + values.map { $0 } }

  private struct Alternative: Encodable {
    let id: TokenID
    let text: String
    let logp: Float
  }
}

/// A name of the written record.
private struct Field: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }

  static let scores = Field("scores")
  static let policies = Field("policies")
  static let logp = Field("logp")
  static let tokens = Field("tokens")
  static let ratio = Field("ratio")
  static let referenceLogp = Field("reference_logp")
  static let tokenIDs = Field("token_ids")
  static let referenceTokenLogps = Field("reference_token_logps")
  static let chosenLogps = Field("chosen_logps")
  static let rejectedLogps = Field("rejected_logps")
  static let referenceChosenLogps = Field("reference_chosen_logps")
  static let referenceRejectedLogps = Field("reference_rejected_logps")
  static let chosenIDs = Field("chosen_ids")
  static let rejectedIDs = Field("rejected_ids")
  static let referenceChosenTokenLogps = Field("reference_chosen_token_logps")
  static let referenceRejectedTokenLogps = Field("reference_rejected_token_logps")
}
