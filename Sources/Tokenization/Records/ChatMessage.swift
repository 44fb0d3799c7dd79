/// One turn of a conversation, with every field of its record: a template may read any of them, such as `tool_calls`,
/// `tool_call_id`, `name` or `reasoning_content`.

public struct ChatMessage: Hashable, Sendable {
  /// In the order of the file.
  public private(set) var fields: JSONObject

  public init(role: String, content: String) {
    fields = ["role": .string(role), "content": .string(content)]
  }

  public var role: String {
    if case .string(let role) = fields["role"] { role } else { "" }
  }

  /// The text; of content in parts, the texts of the parts; empty where there is none.
  public var content: String {
    switch fields["content"] {
    case .string(let text): text
    case .array(let parts): parts.compactMap(Self.text).joined()
    default: ""
    }
  }

  /// The turn with more text at its end; of content in parts, at the end of the last text.
  func appending(_ more: String) -> ChatMessage {
    var longer = self
    if case .array(var parts) = fields["content"],
      let place = parts.lastIndex(where: { Self.text($0) != nil }), case .object(var part) = parts[place]
    {
      part["text"] = .string((Self.text(parts[place]) ?? "") + more)
      parts[place] = .object(part)
      longer.fields["content"] = .array(parts)
    } else {
      longer.fields["content"] = .string(content + more)
    }
    return longer
  }

  private static func text(_ part: JSONValue) -> String? {
    guard case .object(let part) = part, case .string(let text)? = part["text"] else { return nil }
    return text
  }
}

extension ChatMessage: Codable {
  private enum Key: String, CodingKey {
    case role, content
    case toolCalls = "tool_calls"
  }

  /// The role is a string. The content is a string, parts, or for a tool's result an object; a turn with `tool_calls` may be
  /// without.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    _ = try container.decode(String.self, forKey: .role)
    fields = try JSONObject(from: decoder)
    switch fields["content"] {
    case .string, .array, .object: break
    case nil where fields[Key.toolCalls.rawValue] != nil, .null where fields[Key.toolCalls.rawValue] != nil: break
    default: _ = try container.decode(String.self, forKey: .content)
    }
  }

  public func encode(to encoder: any Encoder) throws { try fields.encode(to: encoder) }
}
