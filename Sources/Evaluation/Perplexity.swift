/// Perplexity of a long text, and the distance of one set of distributions over it from another.

import Foundation
import Llama
import Scoring
import Tensors

/// How a text longer than the context is gone through: windows of `context` tokens that begin `stride` apart, each scoring
/// what those before it did not. So a token but in the first window sees at least `context − stride` tokens.
public struct TextWindows: Equatable, Sendable {
  public let context: Int
  public let stride: Int

  /// - Throws: `PerplexityError.badStride`.
  public init(context: Int, stride: Int) throws(PerplexityError) {
    guard context >= 2, (1..<context).contains(stride) else {
      throw .badStride(stride, context: context)
    }
    self.context = context
    self.stride = stride
  }

  /// What is run, and which of it is scored. Every token of `count` but the first is scored once.
  public func ranges(count: Int) -> [(run: Range<Int>, scored: Range<Int>)] {
    var ranges: [(run: Range<Int>, scored: Range<Int>)] = []
    var (start, done) = (0, 1)
    while done < count {
      let end = min(start + context, count)
      ranges.append((start..<end, done..<end))
      (start, done) = (start + stride, end)
    }
    return ranges
  }
}

public enum PerplexityError: Error, Equatable, CustomStringConvertible {
  case badStride(Int, context: Int)
  case tooShort
  case notAReference(String)
  case otherText(String)
  case otherVocabulary(String)
  case otherWindows(String, context: Int, stride: Int)
  case incomplete(String, needs: Int, has: Int)

  public var description: String {
    switch self {
    case .badStride(let stride, let context):
      "A stride of \(stride) does not suit windows of \(context) tokens. Give one from 1 to \(context - 1)."
    case .tooShort: "The text has fewer than two tokens, so nothing in it is predicted. Give a longer one."
    case .notAReference(let path):
      "'\(path)' is no file of reference log-probabilities. Make one with parley perplexity --save-reference."
    case .otherText(let path):
      "'\(path)' was made from another text, or from other tokens of it. Save it again from this text."
    case .otherVocabulary(let path):
      "'\(path)' was made with another vocabulary, and distributions over other tokens have no distance. Compare models of "
        + "one vocabulary."
    case .otherWindows(let path, let context, let stride):
      "'\(path)' was made with windows of \(context) tokens and a stride of \(stride). Give --ctx \(context) --stride \(stride)."
    case .incomplete(let path, let needs, let has):
      "'\(path)' should have \(needs) bytes and has \(has). Copy or save it again."
    }
  }
}

/// What a text's tokens cost a model. Names are those of the JSON that is printed.
public struct PerplexityResult: Codable, Equatable, Sendable {
  /// Tokens that were scored.
  public let tokens: Int
  /// e to the mean of −log p.
  public let perplexity: Double
  /// Of the perplexity, from the deviation of the tokens' log-probs (which are not quite independent).
  public let standardError: Double
  /// In nats a token.
  public let meanLogp: Double
  /// From the saved reference, when one was given.
  public let divergence: Divergence?

  init(_ logps: [Float], _ divergence: Divergence?) {
    let mean = SampleMean(logps.map(Double.init))
    tokens = mean.count
    meanLogp = mean.mean
    perplexity = exp(-mean.mean)
    standardError = perplexity * mean.standardError
    self.divergence = divergence
  }
}

/// Runs a policy over a text, window by window.
public struct Perplexity {
  private let policy: Policy
  private let windows: TextWindows
  private let pass: ForwardPass
  private let head: Head

  public init(_ policy: Policy, windows: TextWindows) {
    self.policy = policy
    self.windows = windows
    pass = ForwardPass(policy.model)
    head = Head(policy.model)
  }

  /// - Parameters:
  ///   - ids: the text, with BOS in front if the model expects it.
  ///   - onProgress: tokens scored since the last call.
  ///   - isCancelled: asked between windows; true ends the run with `CancellationError`.
  /// - Throws: `PerplexityError.tooShort`, `LlamaError`, `CancellationError`.
  public func callAsFunction(
    _ ids: [TokenID], onProgress: (Int) -> Void = { _ in }, isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> PerplexityResult {
    var logps: [Float] = []
    try forEachWindow(ids, isCancelled: isCancelled) { hidden, targets in
      logps += try head.logProbs(hidden, targets: targets)
      onProgress(targets.count)
    }
    return PerplexityResult(logps, nil)
  }

  /// The same, and all log-probs are saved: a file of 4 bytes for each token of the vocabulary for each token of the text.
  public func callAsFunction(
    _ ids: [TokenID], saving reference: ReferenceWriter, onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> PerplexityResult {
    var logps: [Float] = []
    try forEachRow(ids, onProgress, isCancelled) { row, target in
      try reference.write(row)
      logps.append(row[Int(target)])
    }
    return PerplexityResult(logps, nil)
  }

  /// The same, and each distribution is compared with the saved one.
  ///
  /// - Throws: besides, `PerplexityError` when the file breaks off.
  public func callAsFunction(
    _ ids: [TokenID], comparing reference: ReferenceReader, onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> PerplexityResult {
    var logps: [Float] = []
    var distances = Distances(policy.model)
    try forEachRow(ids, onProgress, isCancelled) { row, target in
      try reference.next(into: distances.reference)
      distances.add(row, target: Int(target))
      logps.append(row[Int(target)])
    }
    return PerplexityResult(logps, distances.summary)
  }

  private func forEachWindow(
    _ ids: [TokenID], isCancelled: () -> Bool, _ body: (HiddenRows, [TokenID]) throws -> Void
  ) throws {
    guard ids.count > 1 else { throw PerplexityError.tooShort }
    for (run, scored) in windows.ranges(count: ids.count) {
      if isCancelled() { throw CancellationError() }
      let sequence = KVSequence(policy)
      let first = scored.lowerBound - 1
      let hidden = try pass([
        Run(sequence, ids[run.lowerBound..<first], wanted: false),
        Run(sequence, ids[first..<(scored.upperBound - 1)], wanted: true),
      ])
      try body(hidden, Array(ids[scored]))
    }
  }

  /// Log-probs over the whole vocabulary, a few rows in memory at a time: `body([V], target)`.
  private func forEachRow(
    _ ids: [TokenID], _ onProgress: (Int) -> Void, _ isCancelled: () -> Bool,
    _ body: (UnsafeBufferPointer<Float>, TokenID) throws -> Void
  ) throws {
    let vocabulary = policy.model.vocabularySize
    let rowsAtOnce = max(1, min(64, (32 << 20) / (4 * vocabulary)))
    try forEachWindow(ids, isCancelled: isCancelled) { hidden, targets in
      for start in Swift.stride(from: 0, to: hidden.rows, by: rowsAtOnce) {
        if isCancelled() { throw CancellationError() }
        let rows = start..<min(start + rowsAtOnce, hidden.rows)
        let (logits, logSum) = head.logits(HiddenRows(hidden.matrix.rows(rows), policy))
        for (index, target) in targets[rows].enumerated() {
          let row = UnsafeMutableBufferPointer(start: logits.pointer + index * vocabulary, count: vocabulary)
          for token in row.indices { row[token] -= logSum[index] }
          try body(UnsafeBufferPointer(row), target)
        }
        onProgress(rows.count)
      }
    }
  }
}
