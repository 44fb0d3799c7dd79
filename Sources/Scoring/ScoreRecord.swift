/// What `RecordScorer` reads and writes: a prompt with one response, with several, or with a chosen and a rejected one.
/// Fields it does not know are carried through.

import Tensors
import Tokenization

/// One line to score. Token ids win over text wherever both are given.
public struct ScoreRecord: Decodable, Sendable {
  /// An answer as it was given: its ids, or else its text.
  public struct Answer: Sendable {
    public let text: String?
    public let tokenIDs: [TokenID]?
  }

  public enum Answers: Sendable {
    case one(Answer)
    case several([Answer])
    case pair(chosen: Answer, rejected: Answer)

    var list: [Answer] {
      switch self {
      case .one(let answer): [answer]
      case .several(let answers): answers
      case .pair(let chosen, let rejected): [chosen, rejected]
      }
    }
  }

  public let prompt: PromptRecord.Content?
  public let promptIDs: [TokenID]?
  public let answers: Answers
  /// The whole record as it was read.
  public let fields: [String: JSONValue]

  enum CodingKeys: String, CodingKey {
    case prompt, response, responses, chosen, rejected
    case promptIDs = "prompt_ids"
    case responseIDs = "response_ids"
    case chosenIDs = "chosen_ids"
    case rejectedIDs = "rejected_ids"
  }

  private struct Listed: Decodable {
    let text: String?
    let tokenIDs: [TokenID]?

    enum CodingKeys: String, CodingKey {
      case text
      case tokenIDs = "token_ids"
    }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func answer(_ text: CodingKeys, _ ids: CodingKeys) throws -> Answer? {
      let content = try container.decodeIfPresent(PromptRecord.Content.self, forKey: text)
      let tokenIDs = try container.decodeIfPresent([TokenID].self, forKey: ids)
      return content == nil && tokenIDs == nil ? nil : Answer(text: content?.lastText, tokenIDs: tokenIDs)
    }

    fields = try [String: JSONValue](from: decoder)
    prompt = try container.decodeIfPresent(PromptRecord.Content.self, forKey: .prompt)
    promptIDs = try container.decodeIfPresent([TokenID].self, forKey: .promptIDs)
    if prompt == nil && promptIDs == nil {
      throw DecodingError.keyNotFound(
        CodingKeys.prompt, .init(codingPath: [], debugDescription: "neither prompt nor prompt_ids"))
    }
    if let listed = try container.decodeIfPresent([Listed].self, forKey: .responses) {
      answers = .several(listed.map { Answer(text: $0.text, tokenIDs: $0.tokenIDs) })
    } else if let chosen = try answer(.chosen, .chosenIDs), let rejected = try answer(.rejected, .rejectedIDs) {
      answers = .pair(chosen: chosen, rejected: rejected)
    } else if let response = try answer(.response, .responseIDs) {
      answers = .one(response)
    } else {
      throw DecodingError.keyNotFound(
        CodingKeys.response,
        .init(codingPath: [], debugDescription: "no response, responses, or chosen with rejected"))
    }
  }
}

/// Log-probabilities of one answer, in nats.
public struct AnswerScore: Sendable {
  public let tokenIDs: [TokenID]
  /// Under the policy, one per token.
  public let logps: [Float]
  /// Under the reference, when there is one.
  public let referenceLogps: [Float]?

  public var logp: Double { logps.logProbSum }
  public var referenceLogp: Double? { referenceLogps?.logProbSum }
  /// log π(y|x) − log π_ref(y|x).
  public var ratio: Double? { referenceLogp.map { logp - $0 } }
}

/// A record and the scores of its answers, written as the record with the new fields.
public struct ScoredRecord: Encodable, Sendable {
  public let record: ScoreRecord
  /// One per answer; for a pair chosen, then rejected.
  public let scores: [AnswerScore]
  /// Whether the tokens and their log-probs are written too.
  public let perToken: Bool
  /// Answers whose text, joined to the prompt, was not split where the prompt ends.
  public let splitInsideToken: Bool

  private enum Field: String, CodingKey {
    case scores, logp, tokens, ratio
    case referenceLogp = "reference_logp"
    case tokenIDs = "token_ids"
    case tokenLogps = "token_logps"
    case referenceTokenLogps = "reference_token_logps"
    case chosenLogps = "chosen_logps"
    case rejectedLogps = "rejected_logps"
    case referenceChosenLogps = "reference_chosen_logps"
    case referenceRejectedLogps = "reference_rejected_logps"
    case chosenIDs = "chosen_ids"
    case rejectedIDs = "rejected_ids"
    case chosenTokenLogps = "chosen_token_logps"
    case rejectedTokenLogps = "rejected_token_logps"
    case referenceChosenTokenLogps = "reference_chosen_token_logps"
    case referenceRejectedTokenLogps = "reference_rejected_token_logps"
  }

  public func encode(to encoder: any Encoder) throws {
    try record.fields.encode(to: encoder)
    var container = encoder.container(keyedBy: Field.self)
    switch record.answers {
    case .one:
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

  private func encode(_ score: AnswerScore, into container: inout KeyedEncodingContainer<Field>) throws {
    try container.encode(score.logp, forKey: .logp)
    try container.encode(score.logps.count, forKey: .tokens)
    try container.encodeIfPresent(score.referenceLogp, forKey: .referenceLogp)
    try container.encodeIfPresent(score.ratio, forKey: .ratio)
    guard perToken else { return }
    try container.encode(score.tokenIDs, forKey: .tokenIDs)
    try container.encode(score.logps, forKey: .tokenLogps)
    try container.encodeIfPresent(score.referenceLogps, forKey: .referenceTokenLogps)
  }

  private func encode(
    chosen: AnswerScore, rejected: AnswerScore, into container: inout KeyedEncodingContainer<Field>
  ) throws {
    try container.encode(chosen.logp, forKey: .chosenLogps)
    try container.encode(rejected.logp, forKey: .rejectedLogps)
    try container.encodeIfPresent(chosen.referenceLogp, forKey: .referenceChosenLogps)
    try container.encodeIfPresent(rejected.referenceLogp, forKey: .referenceRejectedLogps)
    if let up = chosen.ratio, let down = rejected.ratio { try container.encode(up - down, forKey: .ratio) }
    guard perToken else { return }
    try container.encode(chosen.tokenIDs, forKey: .chosenIDs)
    try container.encode(rejected.tokenIDs, forKey: .rejectedIDs)
    try container.encode(chosen.logps, forKey: .chosenTokenLogps)
    try container.encode(rejected.logps, forKey: .rejectedTokenLogps)
    try container.encodeIfPresent(chosen.referenceLogps, forKey: .referenceChosenTokenLogps)
    try container.encodeIfPresent(rejected.referenceLogps, forKey: .referenceRejectedTokenLogps)
  }
}
