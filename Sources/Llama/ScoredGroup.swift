import Tensors

/// A prompt and the answers to it that are scored: every token of an answer is a target. In training the prompt's rows are run
/// once for all answers.
public struct ScoredGroup: Equatable, Sendable {
  public let prompt: [TokenID]
  public let answers: [[TokenID]]

  /// - Precondition: there is an answer, and neither it nor another nor the prompt is empty.
  public init(prompt: [TokenID], answers: [[TokenID]]) {
    precondition(
      !prompt.isEmpty && !answers.isEmpty && answers.allSatisfy { !$0.isEmpty },
      "a scored group needs a prompt and answers of at least one token")
    self.prompt = prompt
    self.answers = answers
  }

  /// Rows in a pass: the prompt once, and of each answer all but the last token, which predicts nothing.
  public var rows: Int { answers.reduce(prompt.count) { $0 + $1.count - 1 } }
  /// Tokens that are predicted.
  public var targets: Int { answers.reduce(0) { $0 + $1.count } }
  /// Positions the longest answer is run at.
  public var positions: Int { prompt.count + (answers.map(\.count).max() ?? 1) - 1 }
  /// Tokens of each answer with the prompt, as they would be without sharing.
  public var tokens: Int { answers.reduce(0) { $0 + prompt.count + $1.count } }

  /// Pages of keys and values, 64 positions each: answers share the whole ones of the prompt.
  public var pages: Int {
    let size = AttentionShape.pagePositions
    let (whole, all) = (prompt.count / size, (prompt.count + size - 1) / size)
    return answers.reduce(all) { sum, answer in
      answer.count == 1 ? sum : sum + (prompt.count + answer.count - 1 + size - 1) / size - whole
    }
  }
}
