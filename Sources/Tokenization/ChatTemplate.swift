import Foundation

/// A model's chat template: parsed once, rendered per conversation. The language is the part of Jinja that such
/// templates use, with the settings of Hugging Face; the parts are in `Template/`.

/// One turn of a conversation.
public struct ChatMessage: Codable, Hashable, Sendable {
  public var role: String
  public var content: String

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

public struct ChatTemplate: Sendable {
  public let bosToken: String
  public let eosToken: String
  private let statements: [Statement]

  /// - Parameters:
  ///   - source: the template's text.
  ///   - bosToken: what `bos_token` prints.
  ///   - eosToken: what `eos_token` prints.
  /// - Throws: `TemplateError` for what is malformed, or known already to be outside the subset.
  public init(source: String, bosToken: String, eosToken: String) throws(TemplateError) {
    statements = try Parser.parse(source)
    self.bosToken = bosToken
    self.eosToken = eosToken
  }

  /// The conversation as the model was trained to read it.
  /// - Parameters:
  ///   - addGenerationPrompt: end with the header of the answer to come.
  ///   - date: what `strftime_now` formats.
  public func render(
    _ messages: [ChatMessage], addGenerationPrompt: Bool, date: Date
  ) throws(TemplateError) -> String {
    let turns = messages.map { message in
      var turn = Value.Dict()
      turn.set("role", .string(message.role))
      turn.set("content", .string(message.content))
      return Value.dict(turn)
    }
    let evaluator = Evaluator(
      variables: [
        "messages": .list(turns), "add_generation_prompt": .bool(addGenerationPrompt), "tools": .none,
        "documents": .none, "bos_token": .string(bosToken), "eos_token": .string(eosToken),
      ], date: date)
    try evaluator.run(statements)
    return evaluator.output
  }
}
