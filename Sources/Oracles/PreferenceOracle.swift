/// The one question asked of a judge. `OracleSpec.swift` has the specs that name judges on the command line.

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

  /// The same for many questions at once, in their order: for judges that answer many more cheaply than one by one.
  func probabilities(_ questions: [Question]) async throws -> [Double]
}

extension PreferenceOracle {
  public func probabilities(_ questions: [Question]) async throws -> [Double] {
    var answers: [Double] = []
    for question in questions {
      answers.append(try await probability(that: question.a, beats: question.b, for: question.prompt))
    }
    return answers
  }
}

/// Whether `a` is the better answer to `prompt`.
public struct Question: Hashable, Sendable {
  public var prompt: PromptRecord
  public var a: Candidate
  public var b: Candidate

  public init(_ prompt: PromptRecord, a: Candidate, b: Candidate) {
    self.prompt = prompt
    self.a = a
    self.b = b
  }

  /// The same question in the other order.
  public var swapped: Question { Question(prompt, a: b, b: a) }
}

/// A judge of which batches are the natural unit; single questions are batches of one.
public protocol BatchOracle: PreferenceOracle {}

extension BatchOracle {
  public func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) async throws -> Double {
    try await probabilities([Question(prompt, a: a, b: b)])[0]
  }
}

/// A judge whose answers come one by one, in whatever order. Each is handed on at once, so that a failure loses none.
public protocol StreamingOracle: BatchOracle {
  /// - Parameter onAnswer: gets each question's index and P(a ≻ b), once.
  func answer(
    _ questions: [Question], onAnswer: @Sendable (_ index: Int, _ probability: Double) async throws -> Void
  ) async throws
}

extension StreamingOracle {
  public func probabilities(_ questions: [Question]) async throws -> [Double] {
    let collected = Answers(count: questions.count)
    try await answer(questions) { await collected.set($0, $1) }
    return await collected.values
  }
}

private actor Answers {
  var values: [Double]
  init(count: Int) { values = [Double](repeating: 0.5, count: count) }
  func set(_ index: Int, _ value: Double) { values[index] = value }
}

public enum OracleError: Error, Equatable, CustomStringConvertible {
  case unknown(spec: String)
  case needsPath(spec: String)
  case badSpec(spec: String, reason: String)
  case notOffered(kind: String)
  case badTable(path: String, reason: String)
  case notInTable(path: String, answer: String)
  case notRecorded(path: String, prompt: String, a: String, b: String)
  case tooFewAnswers(count: Int)
  case badAnswer(oracle: String, reason: String)
  case noAnswer(oracle: String, reason: String)
  case unusable(oracle: String, reason: String)

  public var description: String {
    switch self {
    case .unknown(let spec): "There is no oracle '\(spec)'. Known are \(Oracle.known.joined(separator: ", "))."
    case .needsPath(let spec): "Oracle '\(spec)' needs a file: write '\(spec)PATH'."
    case .badSpec(let spec, let reason): "The oracle '\(spec)' cannot be made: \(reason)."
    case .notOffered(let kind):
      "Oracle '\(kind):' is not part of this program. Pass its kind to Oracle.parse, or choose another oracle."
    case .badTable(let path, let reason): "The preference table '\(path)' cannot be used: \(reason)."
    case .notInTable(let path, let answer):
      "The preference table '\(path)' has no answer '\(shortened(answer))'. Add it, or ask for answers it has."
    case .notRecorded(let path, let prompt, let a, let b):
      "'\(path)' has no judgement of '\(shortened(a))' against '\(shortened(b))' for the prompt '\(shortened(prompt))'. "
        + "Record it, or choose another oracle."
    case .tooFewAnswers(let count): "A preference pair needs two answers to a prompt, got \(count). Sample more."
    case .badAnswer(let oracle, let reason): "Oracle '\(oracle)' answered what cannot be used: \(reason)."
    case .noAnswer(let oracle, let reason):
      "Oracle '\(oracle)' gave no answer: \(reason). What it has judged is kept where a cache was given."
    case .unusable(let oracle, let reason): "Oracle '\(oracle)' cannot judge this: \(reason)."
    }
  }

  private func shortened(_ text: String) -> String { text.count > 40 ? text.prefix(40) + "…" : text }
}
