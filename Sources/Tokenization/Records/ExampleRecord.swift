/// An answer to imitate: `{"prompt", "chosen"}`, so that a file of pairs is one of examples too; `response` or `completion`
/// in place of `chosen`; or `{"messages"}`, whose last turn is the assistant's. Written as prompt and `chosen`.

public struct ExampleRecord: Codable, Hashable, Sendable {
  public var id: JSONValue?
  public var prompt: PromptRecord.Content
  public var chosen: PromptRecord.Content
  public var promptIDs: [UInt32]?
  public var chosenIDs: [UInt32]?
  public var extra: [String: JSONValue]

  enum CodingKeys: String, CodingKey, CaseIterable {
    case id, prompt, chosen, response, completion, messages
    case promptIDs = "prompt_ids"
    case chosenIDs = "chosen_ids"
    case responseIDs = "response_ids"
  }

  public init(
    id: JSONValue? = nil, prompt: PromptRecord.Content, chosen: PromptRecord.Content, promptIDs: [UInt32]? = nil,
    chosenIDs: [UInt32]? = nil, extra: [String: JSONValue] = [:]
  ) {
    self.id = id
    self.prompt = prompt
    self.chosen = chosen
    self.promptIDs = promptIDs
    self.chosenIDs = chosenIDs
    self.extra = extra
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decodeIfPresent(JSONValue.self, forKey: .id)
    if let messages = try container.decodeIfPresent([ChatMessage].self, forKey: .messages) {
      guard let last = messages.last, last.role == "assistant", messages.count > 1 else {
        throw DecodingError.dataCorruptedError(
          forKey: .messages, in: container, debugDescription: "the last of several turns must be the assistant's")
      }
      (prompt, chosen) = (.messages(messages.dropLast()), .messages([last]))
    } else {
      prompt = try container.decode(PromptRecord.Content.self, forKey: .prompt)
      let given = [CodingKeys.chosen, .response, .completion].filter { container.contains($0) }
      guard given.count == 1 else {
        throw DecodingError.dataCorruptedError(
          forKey: .chosen, in: container,
          debugDescription: "there must be one answer, as chosen, response or completion, not \(given.count)")
      }
      chosen = try container.decode(PromptRecord.Content.self, forKey: given[0])
    }
    promptIDs = try container.decodeIfPresent([UInt32].self, forKey: .promptIDs)
    chosenIDs =
      try container.decodeIfPresent([UInt32].self, forKey: .chosenIDs)
      ?? container.decodeIfPresent([UInt32].self, forKey: .responseIDs)
    extra = try decoder.otherFields(besides: CodingKeys.self)
  }

  public func encode(to encoder: any Encoder) throws {
    try encoder.encodeUnknown(extra)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(id, forKey: .id)
    try container.encode(prompt, forKey: .prompt)
    try container.encode(chosen, forKey: .chosen)
    try container.encodeIfPresent(promptIDs, forKey: .promptIDs)
    try container.encodeIfPresent(chosenIDs, forKey: .chosenIDs)
  }
}
