import ArgumentParser
import Foundation
import Generation
import Llama
import Tensors
import Tokenization

struct Chat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Talk with a model.",
    discussion:
      "One line is one turn. /quit or Ctrl-D ends. From a pipe, only the answers are printed. Without options, the temperature is 0.5 and top-p 0.9."
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var sampling: SamplerOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "What the model is told before the first turn.")
  var system: String?

  func run() throws {
    try sampling.check()
    let session = try Session(model, noise)
    guard session.encoder.template != nil else {
      throw Failure(
        .badData,
        "The model '\(model.path)' has no chat template, so it does not know turns. Use `parley generate --raw` with it."
      )
    }
    var options = try session.generationOptions(sampling, defaults: [("temperature", "0.5"), ("top-p", "0.9")])
    options.keepsSequences = true
    var conversation = Conversation(
      session: session, generator: try Generator(session.policy(adapter, noise), options, tokenizer: session.tokenizer),
      maximumTokens: options.maximumTokens, system: system)
    let isTerminal = isatty(STDIN_FILENO) != 0
    if isTerminal && !noise.quiet { note("One line is one turn; /quit or Ctrl-D ends.") }
    while true {
      if isTerminal { try Output.text("> ") }
      guard let line = readLine(), line != "/quit" else { break }
      if line.allSatisfy(\.isWhitespace) { continue }
      try conversation.answer(line) { try? Output.text($0) }
      try Output.line("")
    }
    if Interrupt.isReceived { throw CancellationError() }
    if isTerminal { try Output.line("") }
  }
}

/// The turns so far, and the cache that holds them.
private struct Conversation {
  private let session: Session
  private let generator: Generator
  /// Of one answer, if the context has room for it.
  private let maximumTokens: Int
  private var messages: [ChatMessage]
  private var turn = 0
  /// What the model has computed, token by token.
  private var past: (tokens: [TokenID], sequence: KVSequence)?

  init(session: Session, generator: Generator, maximumTokens: Int, system: String?) {
    self.session = session
    self.generator = generator
    self.maximumTokens = maximumTokens
    messages = system.map { [ChatMessage(role: "system", content: $0)] } ?? []
  }

  /// Streams the answer to one line.
  mutating func answer(_ line: String, show: (String) -> Void) throws {
    messages.append(ChatMessage(role: "user", content: line))
    let prompt = try session.encoder.prompt(.messages(messages))
    // The template may have changed the earlier turns (some drop white space); then all is computed again.
    let known = past.flatMap { $0.tokens.count < prompt.count && prompt.starts(with: $0.tokens) ? $0.sequence : nil }
    let room = session.model.context - prompt.count + 1
    guard room > 0 else {
      throw Failure(
        .badData,
        "The conversation fills the context of \(session.model.context) tokens. Start a new one, or raise --ctx.")
    }

    let request = GenerationRequest(
      prompt: prompt, index: turn, samples: 1, past: known, maximumTokens: min(maximumTokens, room))
    var finished: Sample?
    try generator.run([request], onToken: { show($0.text) }, onFinish: { finished = $1.first })
    guard let finished else { return }
    messages.append(ChatMessage(role: "assistant", content: finished.text))
    past = finished.sequence.map { (prompt + finished.tokens.dropLast(), $0) }
    turn += 1
  }
}
