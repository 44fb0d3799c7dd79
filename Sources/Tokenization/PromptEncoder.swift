import Foundation
import Tensors

/// Prompts and responses to token ids: the one place that knows of BOS, EOS, templates and turn ends.
///
/// Special tokens written in a prompt or response are those tokens, as in Hugging Face's encoders: a template's text
/// cannot be told from a user's. Whoever needs exact control passes ids.
public struct PromptEncoder: Sendable {
  public struct Response: Equatable, Sendable {
    /// The tokens that are trained and scored. The last is the template's turn end, or EOS for plain text.
    public var ids: [TokenID]
    /// False when the conversation with the answer does not begin with the ids of the prompt, because a token would
    /// span the boundary. Then `ids` is the answer encoded on its own; warn the user.
    public var followsPrompt: Bool

    public init(ids: [TokenID], followsPrompt: Bool) {
      self.ids = ids
      self.followsPrompt = followsPrompt
    }
  }

  public let tokenizer: Tokenizer
  /// Nil when text is used as it is.
  public let template: ChatTemplate?
  /// What a template's `strftime_now` shows. A run keeps one, so that its prompts do not change at midnight.
  public let date: Date
  /// Tools and variables of the template where a record gives none.
  public let inputs: TemplateInputs

  /// - Parameter raw: ignore the template; conversations are then an error.
  public init(
    tokenizer: Tokenizer, template: ChatTemplate?, raw: Bool, date: Date = Date(),
    inputs: TemplateInputs = TemplateInputs()
  ) {
    self.inputs = inputs
    self.tokenizer = tokenizer
    self.template = raw ? nil : template
    self.date = date
  }

  /// The ids of a prompt, ready for the model's answer: exactly one BOS when the model expects one. Text becomes one
  /// user turn. A conversation that ends with an assistant turn is continued inside that turn.
  /// - Throws: `TemplateError`, or `PromptError.noTemplate` for a conversation without template.
  public func prompt(
    _ prompt: PromptRecord.Content, _ inputs: TemplateInputs = TemplateInputs()
  ) throws -> [TokenID] {
    withBOS(tokenizer.encode(try text(of: prompt, self.inputs.overridden(by: inputs)), parseSpecial: true))
  }

  /// The ids of an answer to `prompt`.
  ///
  /// With a template the conversation is rendered with and without the answer, and the answer is what follows the
  /// prompt's ids, up to the turn end; what the template writes after that (a line break in ChatML) is not trained.
  /// - Throws: as `prompt(_:)`, and `PromptError.noEnd` when nothing can end the answer.
  public func response(
    _ response: String, after prompt: PromptRecord.Content, _ inputs: TemplateInputs = TemplateInputs()
  ) throws -> Response {
    guard let template else {
      guard case .text = prompt else { throw PromptError.noTemplate }
      let ids = tokenizer.encode(response, parseSpecial: true, continues: true)
      return Response(ids: try ended(ids), followsPrompt: true)
    }
    var messages = messages(of: prompt)
    if let last = messages.last, last.role == Self.assistant {
      messages[messages.count - 1] = last.appending(response)
    } else {
      messages.append(ChatMessage(role: Self.assistant, content: response))
    }
    let start = try self.prompt(prompt, inputs)
    let whole = try template.render(
      messages, self.inputs.overridden(by: inputs), addGenerationPrompt: false, date: date)
    let ids = withBOS(tokenizer.encode(whole, parseSpecial: true))
    if ids.starts(with: start) {
      return Response(ids: try ended(upToTurnEnd(ids[start.count...])), followsPrompt: true)
    }
    var alone = tokenizer.encode(response, parseSpecial: true)
    if let end = ids.last(where: tokenizer.endTokens.contains), alone.last != end { alone.append(end) }
    return Response(ids: try ended(alone), followsPrompt: false)
  }

  // MARK: Rules

  private static let assistant = "assistant"
  /// Marks where an open assistant turn stops in the rendered text; private-use characters, so no prompt has it.
  private static let mark = "\u{F8FE}\u{F8FF}\u{F8FE}"

  private func messages(of prompt: PromptRecord.Content) -> [ChatMessage] {
    switch prompt {
    case .text(let text): [ChatMessage(role: "user", content: text)]
    case .messages(let messages): messages
    }
  }

  private func text(of prompt: PromptRecord.Content, _ inputs: TemplateInputs) throws -> String {
    guard let template else {
      guard case .text(let text) = prompt else { throw PromptError.noTemplate }
      return text
    }
    var messages = messages(of: prompt)
    guard let last = messages.last, last.role == Self.assistant else {
      return try template.render(messages, inputs, addGenerationPrompt: true, date: date)
    }
    // As in transformers: the space behind the mark shows whether the template trims the turn, and then so do we.
    messages[messages.count - 1] = last.appending(Self.mark + " ")
    let whole = try template.render(messages, inputs, addGenerationPrompt: false, date: date)
    guard let cut = whole.ranges(ofBytes: Self.mark).last else { throw PromptError.noOpenTurn }
    let bytes = Array(whole.utf8)
    let before = String(decoding: bytes[..<cut.lowerBound], as: UTF8.self)
    let isKept = bytes[cut.upperBound...].first == UInt8(ascii: " ") || last.content.stripped().isEmpty
    return isKept ? before : before.stripped(left: false)
  }

  /// Adds BOS unless the text brought it: a template or a user may have written it.
  private func withBOS(_ ids: [TokenID]) -> [TokenID] {
    guard tokenizer.addsBOS, let bos = tokenizer.bos, ids.first != bos else { return ids }
    return [bos] + ids
  }

  private func upToTurnEnd(_ ids: ArraySlice<TokenID>) -> [TokenID] {
    guard let end = ids.lastIndex(where: tokenizer.endTokens.contains) else { return Array(ids) }
    return Array(ids[...end])
  }

  private func ended(_ ids: [TokenID]) throws(PromptError) -> [TokenID] {
    if let last = ids.last, tokenizer.endTokens.contains(last) { return ids }
    guard let eos = tokenizer.eos else { throw .noEnd }
    return ids + [eos]
  }
}

/// Why a prompt or response has no ids.
public enum PromptError: Error, Equatable, CustomStringConvertible {
  case noTemplate
  case noOpenTurn
  case noEnd

  public var description: String {
    switch self {
    case .noTemplate:
      "The prompt is a conversation, but no chat template is in use. Give the prompt as text, or a model with a template."
    case .noOpenTurn:
      "The chat template does not show the last assistant turn, so it cannot be continued. End with a user turn."
    case .noEnd:
      "The model file names no end token, so an answer cannot be ended. Set tokenizer.ggml.eos_token_id in the file."
    }
  }
}
