/// A preference pair under TRL's names, and, once frozen, its log-probs under π_ref and π_t.

public struct PairRecord: Codable, Hashable, Sendable {
  public var id: JSONValue?
  public var prompt: PromptRecord.Content
  public var chosen: PromptRecord.Content
  public var rejected: PromptRecord.Content
  /// P(chosen ≻ rejected) when the oracle gave one: the soft label.
  public var probability: Double?
  /// P(chosen ≻ π_t) and P(rejected ≻ π_t): how often each wins against the last policy's answers.
  public var chosenWinRate: Double?
  public var rejectedWinRate: Double?
  public var promptIDs: [UInt32]?
  public var chosenIDs: [UInt32]?
  public var rejectedIDs: [UInt32]?
  /// Sums over the answer's tokens, in nats, in float64 as they were computed.
  public var referenceChosenLogps: Double?
  public var referenceRejectedLogps: Double?
  public var lastChosenLogps: Double?
  public var lastRejectedLogps: Double?
  /// SHA-256 of what computed them.
  public var referenceFingerprint: String?
  public var lastFingerprint: String?
  public var extra: [String: JSONValue]

  enum CodingKeys: String, CodingKey, CaseIterable {
    case id, prompt, chosen, rejected, probability
    case chosenWinRate = "chosen_win_rate"
    case rejectedWinRate = "rejected_win_rate"
    case promptIDs = "prompt_ids"
    case chosenIDs = "chosen_ids"
    case rejectedIDs = "rejected_ids"
    case referenceChosenLogps = "reference_chosen_logps"
    case referenceRejectedLogps = "reference_rejected_logps"
    case lastChosenLogps = "last_chosen_logps"
    case lastRejectedLogps = "last_rejected_logps"
    case referenceFingerprint = "reference_fingerprint"
    case lastFingerprint = "last_fingerprint"
  }

  public init(
    id: JSONValue? = nil, prompt: PromptRecord.Content, chosen: PromptRecord.Content,
    rejected: PromptRecord.Content, probability: Double? = nil, promptIDs: [UInt32]? = nil,
    chosenIDs: [UInt32]? = nil, rejectedIDs: [UInt32]? = nil, extra: [String: JSONValue] = [:]
  ) {
    self.id = id
    self.prompt = prompt
    self.chosen = chosen
    self.rejected = rejected
    self.probability = probability
    self.promptIDs = promptIDs
    self.chosenIDs = chosenIDs
    self.rejectedIDs = rejectedIDs
    self.extra = extra
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decodeIfPresent(JSONValue.self, forKey: .id)
    prompt = try container.decode(PromptRecord.Content.self, forKey: .prompt)
    chosen = try container.decode(PromptRecord.Content.self, forKey: .chosen)
    rejected = try container.decode(PromptRecord.Content.self, forKey: .rejected)
    func share(_ key: CodingKeys) throws -> Double? {
      let value = try container.decodeIfPresent(Double.self, forKey: key)
      if let value, !(0...1).contains(value) {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container, debugDescription: "\(value) is not between 0 and 1")
      }
      return value
    }
    probability = try share(.probability)
    chosenWinRate = try share(.chosenWinRate)
    rejectedWinRate = try share(.rejectedWinRate)
    promptIDs = try container.decodeIfPresent([UInt32].self, forKey: .promptIDs)
    chosenIDs = try container.decodeIfPresent([UInt32].self, forKey: .chosenIDs)
    rejectedIDs = try container.decodeIfPresent([UInt32].self, forKey: .rejectedIDs)
    referenceChosenLogps = try container.decodeIfPresent(Double.self, forKey: .referenceChosenLogps)
    referenceRejectedLogps = try container.decodeIfPresent(Double.self, forKey: .referenceRejectedLogps)
    lastChosenLogps = try container.decodeIfPresent(Double.self, forKey: .lastChosenLogps)
    lastRejectedLogps = try container.decodeIfPresent(Double.self, forKey: .lastRejectedLogps)
    referenceFingerprint = try container.decodeIfPresent(String.self, forKey: .referenceFingerprint)
    lastFingerprint = try container.decodeIfPresent(String.self, forKey: .lastFingerprint)
    extra = try decoder.otherFields(besides: CodingKeys.self)
  }

  public func encode(to encoder: any Encoder) throws {
    try encoder.encodeUnknown(extra)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(id, forKey: .id)
    try container.encode(prompt, forKey: .prompt)
    try container.encode(chosen, forKey: .chosen)
    try container.encode(rejected, forKey: .rejected)
    try container.encodeIfPresent(probability, forKey: .probability)
    try container.encodeIfPresent(chosenWinRate, forKey: .chosenWinRate)
    try container.encodeIfPresent(rejectedWinRate, forKey: .rejectedWinRate)
    try container.encodeIfPresent(promptIDs, forKey: .promptIDs)
    try container.encodeIfPresent(chosenIDs, forKey: .chosenIDs)
    try container.encodeIfPresent(rejectedIDs, forKey: .rejectedIDs)
    try container.encodeIfPresent(referenceChosenLogps, forKey: .referenceChosenLogps)
    try container.encodeIfPresent(referenceRejectedLogps, forKey: .referenceRejectedLogps)
    try container.encodeIfPresent(lastChosenLogps, forKey: .lastChosenLogps)
    try container.encodeIfPresent(lastRejectedLogps, forKey: .lastRejectedLogps)
    try container.encodeIfPresent(referenceFingerprint, forKey: .referenceFingerprint)
    try container.encodeIfPresent(lastFingerprint, forKey: .lastFingerprint)
  }
}
