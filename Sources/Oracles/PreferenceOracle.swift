/// The one question asked of a judge, and the specs that name judges on the command line.

import Tokenization

/// An answer as a judge sees it.
public struct Candidate: Hashable, Sendable {
  public var text: String
  public var tokenIDs: [UInt32]
  public var finish: Finish

  public init(text: String, tokenIDs: [UInt32] = [], finish: Finish = .stop) {
    self.text = text
    self.tokenIDs = tokenIDs
    self.finish = finish
  }

  public init(_ response: Response) {
    self.init(text: response.text, tokenIDs: response.tokenIDs, finish: response.finish)
  }
}

public protocol PreferenceOracle: Sendable {
  /// The spec it was made from, as written into reports.
  var name: String { get }

  /// P(a ≻ b | prompt), between 0 and 1. Calls with `a` and `b` exchanged add up to 1.
  func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) async throws -> Double
}

public enum OracleError: Error, Equatable, CustomStringConvertible {
  case unknown(spec: String)
  case needsPath(spec: String)
  case badTable(path: String, reason: String)
  case notInTable(path: String, answer: String)
  case notRecorded(path: String, prompt: String, a: String, b: String)
  case tooFewAnswers(count: Int)

  public var description: String {
    switch self {
    case .unknown(let spec): "There is no oracle '\(spec)'. Known are \(Oracle.known.joined(separator: ", "))."
    case .needsPath(let spec): "Oracle '\(spec)' needs a file: write '\(spec)PATH'."
    case .badTable(let path, let reason): "The preference table '\(path)' cannot be used: \(reason)."
    case .notInTable(let path, let answer):
      "The preference table '\(path)' has no answer '\(shortened(answer))'. Add it, or ask for answers it has."
    case .notRecorded(let path, let prompt, let a, let b):
      "'\(path)' has no judgement of '\(shortened(a))' against '\(shortened(b))' for the prompt '\(shortened(prompt))'. "
        + "Record it, or choose another oracle."
    case .tooFewAnswers(let count): "A preference pair needs two answers to a prompt, got \(count). Sample more."
    }
  }

  private func shortened(_ text: String) -> String { text.count > 40 ? text.prefix(40) + "…" : text }
}

public enum Oracle {
  public static let known = ["rule:concise", "file:PATH", "matrix:PATH"]

  /// - Parameter spec: `rule:concise`, `file:PATH` or `matrix:PATH`.
  /// - Throws: `OracleError`, and what reading the file throws.
  public static func parse(_ spec: String) throws -> any PreferenceOracle {
    if spec == "rule:concise" { return ConciseOracle() }
    guard let colon = spec.firstIndex(of: ":") else { throw OracleError.unknown(spec: spec) }
    let path = String(spec[spec.index(after: colon)...])
    let kind = spec[..<colon]
    guard kind == "file" || kind == "matrix" else { throw OracleError.unknown(spec: spec) }
    guard !path.isEmpty else { throw OracleError.needsPath(spec: spec) }
    return kind == "file" ? try FileOracle(path: path) : try MatrixOracle(path: path)
  }
}
