/// Models that name the better answer by a letter: P(first ≻ second) is the probability of "A" among "A" and "B". In one order
/// only; `SwappedOracle` asks for both.

import Foundation
import Llama
import Scoring
import Tensors
import Tokenization

actor LetterOracle: BatchOracle {
  nonisolated let name: String
  private let scorer: Scorer
  private let text: LetterPrompt
  private let source: OracleModel
  /// Of "A" and of "B".
  private let letters: [TokenID]
  private let onNote: @Sendable (String) -> Void
  private var hasWarned = false

  /// The pair preference model of RLHFlow, or another of its kind.
  init(pair path: String, _ runtime: OracleRuntime) throws {
    try self.init("pair:\(path)", path, .pair, runtime)
  }

  /// Any instruct model.
  ///
  /// - Parameter template: a text file with `{prompt}`, `{a}` and `{b}`; nil asks in words of ours.
  init(judge path: String, template: String?, _ runtime: OracleRuntime) throws {
    let name = "judge:\(path)" + (template.map { "?\($0)" } ?? "")
    let text =
      try template.map { String(decoding: try AtomicFile.read($0), as: UTF8.self) } ?? LetterPrompt.usualQuestion
    try self.init(name, path, .judge(JudgeTemplate(text, spec: name)), runtime)
  }

  private init(_ name: String, _ path: String, _ text: LetterPrompt, _ runtime: OracleRuntime) throws {
    let source = try OracleModel(path, runtime)
    self.name = name
    self.source = source
    self.text = text
    letters = try ["A", "B"].map { letter in
      let ids = source.tokenizer.encode(letter, parseSpecial: false, continues: true)
      guard ids.count == 1 else {
        throw OracleError.unusable(oracle: name, reason: "its vocabulary has no single token for '\(letter)'")
      }
      return ids[0]
    }
    if case .pair = text { try LetterPrompt.checkVocabulary(source.tokenizer, oracle: name) }
    scorer = Scorer(try Policy(source.model))
    onNote = runtime.onNote
  }

  func probabilities(_ questions: [Question]) async throws -> [Double] {
    let requests = try questions.map { question in
      ScoreRequest(prompt: try text.ids(question, source), responses: letters.map { [$0] })
    }
    return try scorer.logProbs(requests).map { answers in
      let (a, b) = (Double(answers[0][0]), Double(answers[1][0]))
      warn(mass: exp(a) + exp(b))
      return Preference.between(a, b)
    }
  }

  /// A model that means to write something else has no opinion worth a run.
  private func warn(mass: Double) {
    guard mass < 0.9, !hasWarned else { return }
    hasWarned = true
    onNote(
      "Oracle '\(name)' gives A and B only \(String(format: "%.2f", mass)) of the probability together: its template may not be "
        + "the one it was trained with.")
  }
}

/// How a question is put to such a model.
enum LetterPrompt: Sendable {
  case pair
  case judge(JudgeTemplate)

  static let usualQuestion = """
    Two answers to the same request follow. Decide which of them serves the person who asked better: correct first, then \
    helpful, then clear. Length alone is no merit.

    Request:
    {prompt}

    Answer A:
    {a}

    Answer B:
    {b}

    Reply with one letter, A or B.
    """

  func ids(_ question: Question, _ source: OracleModel) throws -> [TokenID] {
    switch self {
    case .pair: source.tokenizer.encode(Self.pairText(question), parseSpecial: true)
    case .judge(let template): try source.encoder.prompt(.text(template.text(question)))
    }
  }

  /// One user turn of Llama 3 without BOS, then the header of the answer, which is written here because the model was trained to
  /// put its letter right behind it. The template drops white space around a turn.
  ///
  /// Turns of the context are as Hugging Face renders the model's plain template: it drops the line break behind each block
  /// tag and at the end, so fewer are left than the template's source shows.
  static func pairText(_ question: Question) -> String {
    let turns =
      switch question.prompt.prompt {
      case .text(let text): [text]
      case .messages(let messages): messages.map(\.content)
      }
    var context = "\n"
    for (index, turn) in turns.enumerated() {
      context += "\n<turn> \(index.isMultiple(of: 2) ? "user" : "assistant")\n \(turn)"
    }
    context += "\n"
    let message = "[CONTEXT] \(context) [RESPONSE A] \(question.a.text) [RESPONSE B] \(question.b.text) \n"
    return header("user") + message.trimmingCharacters(in: .whitespacesAndNewlines) + "<|eot_id|>" + header("assistant")
  }

  private static func header(_ role: String) -> String { "<|start_header_id|>\(role)<|end_header_id|>\n\n" }

  static func checkVocabulary(_ tokenizer: Tokenizer, oracle: String) throws(OracleError) {
    for special in ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    where tokenizer.encode(special, parseSpecial: true).count != 1 {
      throw .unusable(
        oracle: oracle,
        reason: "its vocabulary has no '\(special)', so it is no Llama 3; judge: takes any instruct model")
    }
  }
}

/// A text with places for the prompt and both answers. What is put into them is not looked through for more.
struct JudgeTemplate: Sendable {
  private enum Part {
    case text(String)
    case prompt, a, b
  }
  private let parts: [Part]

  init(_ template: String, spec: String) throws(OracleError) {
    var parts: [Part] = []
    var rest = template[...]
    var missing = ["{prompt}", "{a}", "{b}"]
    while let open = rest.firstIndex(of: "{") {
      parts.append(.text(String(rest[..<open])))
      rest = rest[open...]
      if let place = ["{prompt}", "{a}", "{b}"].first(where: rest.hasPrefix) {
        parts.append(place == "{prompt}" ? .prompt : place == "{a}" ? .a : .b)
        missing.removeAll { $0 == place }
        rest = rest.dropFirst(place.count)
      } else {
        parts.append(.text("{"))
        rest = rest.dropFirst()
      }
    }
    parts.append(.text(String(rest)))
    guard missing.isEmpty else {
      throw .badSpec(spec: spec, reason: "its template lacks \(missing.joined(separator: " and "))")
    }
    self.parts = parts
  }

  func text(_ question: Question) -> String {
    parts.map { part in
      switch part {
      case .text(let text): text
      case .prompt: Self.prompt(question.prompt.prompt)
      case .a: question.a.text
      case .b: question.b.text
      }
    }.joined()
  }

  private static func prompt(_ content: PromptRecord.Content) -> String {
    switch content {
    case .text(let text): text
    case .messages(let messages):
      messages.count == 1
        ? messages[0].content : messages.map { "\($0.role): \($0.content)" }.joined(separator: "\n\n")
    }
  }
}
