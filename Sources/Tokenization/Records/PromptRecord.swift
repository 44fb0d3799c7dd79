/// The records of JSON lines files: prompts, responses, pairs. Field names are those of the files.
/// Fields not listed here are kept in `extra` and written back.

/// `{"id"?, "prompt": text or messages}`.
public struct PromptRecord: Codable, Hashable, Sendable {
  /// A text, or the turns of a conversation. The same shapes hold answers in pairs.
  public enum Content: Codable, Hashable, Sendable {
    case text(String)
    case messages([ChatMessage])

    public init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self = .text(text)
      } else {
        self = .messages(try container.decode([ChatMessage].self))
      }
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let text): try container.encode(text)
      case .messages(let messages): try container.encode(messages)
      }
    }

    /// The text itself; of messages, the content of the last.
    public var lastText: String {
      switch self {
      case .text(let text): text
      case .messages(let messages): messages.last?.content ?? ""
      }
    }
  }

  public var id: JSONValue?
  public var prompt: Content
  public var extra: [String: JSONValue]

  enum CodingKeys: String, CodingKey, CaseIterable {
    case id, prompt
  }

  public init(id: JSONValue? = nil, prompt: Content, extra: [String: JSONValue] = [:]) {
    self.id = id
    self.prompt = prompt
    self.extra = extra
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decodeIfPresent(JSONValue.self, forKey: .id)
    prompt = try container.decode(Content.self, forKey: .prompt)
    extra = try decoder.otherFields(besides: CodingKeys.self)
  }

  public func encode(to encoder: any Encoder) throws {
    try encoder.encodeUnknown(extra)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(id, forKey: .id)
    try container.encode(prompt, forKey: .prompt)
  }
}

/// Why an answer ended: by a token of the end set, or because there was no more room.
public enum Finish: String, Codable, Hashable, Sendable {
  case stop, length
}

/// One sampled answer.
public struct Response: Codable, Hashable, Sendable {
  public var text: String
  public var tokenIDs: [UInt32]
  /// Sum of `logps`, in nats.
  public var logp: Double?
  /// log π(token) at temperature 1, one per token.
  public var logps: [Float]?
  /// The same after the whole sampler chain.
  public var behaviourLogps: [Float]?
  public var finish: Finish
  public var extra: [String: JSONValue]

  enum CodingKeys: String, CodingKey, CaseIterable {
    case text, logp, logps, finish
    case tokenIDs = "token_ids"
    case behaviourLogps = "behaviour_logps"
  }

  public init(
    text: String, tokenIDs: [UInt32], logp: Double? = nil, logps: [Float]? = nil, behaviourLogps: [Float]? = nil,
    finish: Finish, extra: [String: JSONValue] = [:]
  ) {
    self.text = text
    self.tokenIDs = tokenIDs
    self.logp = logp
    self.logps = logps
    self.behaviourLogps = behaviourLogps
    self.finish = finish
    self.extra = extra
  }

  /// `finish` may be missing in files made elsewhere; such an answer counts as ended by itself.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    text = try container.decode(String.self, forKey: .text)
    tokenIDs = try container.decodeIfPresent([UInt32].self, forKey: .tokenIDs) ?? []
    logp = try container.decodeIfPresent(Double.self, forKey: .logp)
    logps = try container.decodeIfPresent([Float].self, forKey: .logps)
    behaviourLogps = try container.decodeIfPresent([Float].self, forKey: .behaviourLogps)
    finish = try container.decodeIfPresent(Finish.self, forKey: .finish) ?? .stop
    extra = try decoder.unknownFields(besides: CodingKeys.self)
  }

  public func encode(to encoder: any Encoder) throws {
    try encoder.encodeUnknown(extra)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(text, forKey: .text)
    try container.encode(tokenIDs, forKey: .tokenIDs)
    try container.encodeIfPresent(logp, forKey: .logp)
    try container.encodeIfPresent(logps, forKey: .logps)
    try container.encodeIfPresent(behaviourLogps, forKey: .behaviourLogps)
    try container.encode(finish, forKey: .finish)
  }
}

/// The prompt record with K answers.
public struct ResponseRecord: Codable, Hashable, Sendable {
  /// Holds the unknown fields too.
  public var prompt: PromptRecord
  public var promptIDs: [UInt32]?
  public var responses: [Response]

  enum CodingKeys: String, CodingKey {
    case responses
    case promptIDs = "prompt_ids"
  }

  public init(prompt: PromptRecord, promptIDs: [UInt32]? = nil, responses: [Response]) {
    self.prompt = prompt
    self.promptIDs = promptIDs
    self.responses = responses
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    prompt = try PromptRecord(from: decoder)
    prompt.extra[CodingKeys.responses.rawValue] = nil
    prompt.extra[CodingKeys.promptIDs.rawValue] = nil
    promptIDs = try container.decodeIfPresent([UInt32].self, forKey: .promptIDs)
    responses = try container.decode([Response].self, forKey: .responses)
  }

  public func encode(to encoder: any Encoder) throws {
    try prompt.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(promptIDs, forKey: .promptIDs)
    try container.encode(responses, forKey: .responses)
  }
}
