import Foundation

/// A model's chat template: parsed once, rendered per conversation. The language is the part of Jinja that such
/// templates use, with the settings of Hugging Face; the parts are in `Template/`.

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
  ///   - inputs: tools, and variables of this template. They may set all that transformers lets a caller set.
  ///   - addGenerationPrompt: end with the header of the answer to come.
  ///   - date: what `strftime_now` formats.
  public func render(
    _ messages: [ChatMessage], _ inputs: TemplateInputs = TemplateInputs(), addGenerationPrompt: Bool, date: Date
  ) throws(TemplateError) -> String {
    var variables: [String: Value] = [
      "messages": .list(messages.map { Value(.object($0.fields)) }),
      "tools": inputs.tools.map { Value(.array($0)) } ?? .none,
      "add_generation_prompt": .bool(addGenerationPrompt), "documents": .none,
      "bos_token": .string(bosToken), "eos_token": .string(eosToken),
    ]
    for (name, value) in inputs.variables.fields { variables[name] = Value(value) }
    for (name, value) in variables where value.nesting > Value.nestingLimit {
      throw .limit(line: 1, construct: "'\(name)'", limit: "\(Value.nestingLimit) nested lists and mappings")
    }
    let evaluator = Evaluator(variables: variables, date: date)
    try evaluator.run(statements)
    return evaluator.output
  }
}
