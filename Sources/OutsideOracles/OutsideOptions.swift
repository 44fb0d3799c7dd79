/// Judges outside this program: a command that runs beside it, a server somewhere. Both get what a judge sees of a question as
/// JSON and give P(a ≻ b) back.

import Foundation
import Oracles
import Tokenization

/// How long such a judge is waited for, and how often it is asked again.
public struct OutsideOptions: Sendable {
  /// Seconds without an answer after which a command is ended, or a request given up.
  public var timeLimit: Double
  /// Failures in a row after which the work ends.
  public var attempts: Int
  /// Requests to a server at once.
  public var parallel: Int
  /// Seconds before the second attempt; twice as many before each further one, half a minute at most.
  public var pause: Double
  /// Sent as `Authorization: Bearer …` when it is not empty.
  public var token: String
  /// Gets a sentence about each failure that is not the last.
  public var onNote: @Sendable (String) -> Void

  public init(
    timeLimit: Double = 120, attempts: Int = 5, parallel: Int = 8, pause: Double = 0.5, token: String = "",
    onNote: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.timeLimit = timeLimit
    self.attempts = attempts
    self.parallel = parallel
    self.pause = pause
    self.token = token
    self.onNote = onNote
  }

  func rest(after failures: Int) async throws {
    try await Task.sleep(for: .seconds(min(30, pause * pow(2, Double(failures - 1)))))
  }
}

extension OracleKind {
  /// `command:` and `http:`.
  public static func outside(_ options: OutsideOptions) -> [OracleKind] {
    [
      OracleKind("command", favoursAnOrder: true) { try CommandOracle($0, options) },
      OracleKind("http", favoursAnOrder: true) { try HTTPOracle($0, options) },
    ]
  }
}

/// `{"id": 3, "prompt": text or messages, "a": text, "b": text}`
struct OutsideQuestion: Encodable {
  var id: Int?
  let prompt: PromptRecord.Content
  let a: String
  let b: String

  init(id: Int? = nil, _ question: Question) {
    self.id = id
    prompt = question.prompt.prompt
    a = question.a.text
    b = question.b.text
  }
}

/// `{"id": 3, "probability": 0.75}`
struct OutsideAnswer: Decodable {
  let id: Int?
  let probability: Double

  /// nil for what is no such answer, or no probability.
  init?(_ bytes: some DataProtocol) {
    guard let answer = try? JSONDecoder().decode(OutsideAnswer.self, from: Data(bytes)),
      (0...1).contains(answer.probability)
    else { return nil }
    self = answer
  }
}

/// The beginning of what a judge said, for a sentence about it.
func excerpt(_ text: String) -> String {
  let line = text.trimmingCharacters(in: .whitespacesAndNewlines)
  return line.count > 80 ? "'\(line.prefix(80))…'" : "'\(line)'"
}
