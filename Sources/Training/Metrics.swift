/// One line of metrics per optimiser step, under the names TRL uses, and the file that holds them.

import Foundation
import Tensors

/// A record that is a line of its own in a file about a run.
public protocol MetricsLine: Codable {}

public struct MetricsRecord: MetricsLine, Equatable, Sendable {
  public var step: Int
  public var epoch: Double
  public var loss: Double
  /// Before clipping.
  public var gradNorm: Double
  public var learningRate: Double
  /// Answer and prompt tokens trained on so far. A prompt counts with each answer, though it is run once for both: as in trainers
  /// that run it twice.
  public var numTokens: Int
  public var chosenLogps: Double
  // What the loss does not look at is nil, and not written.
  public var rejectedLogps: Double?
  public var chosenRewards: Double?
  public var rejectedRewards: Double?
  public var rewardMargins: Double?
  /// Share of pairs whose chosen answer has the higher reward.
  public var rewardAccuracies: Double?
  public var h: Double?
  public var target: Double?
  /// Of the step, counted likewise.
  public var tokensPerSecond: Double
  /// Seconds since the start of the run, and to its end at this pace.
  public var elapsed: Double
  public var remaining: Double
  /// True when the step was left out because its loss or gradient was not finite.
  public var skipped: Bool?

  enum CodingKeys: String, CodingKey {
    case step, epoch, loss, h, target, elapsed, remaining, skipped
    case gradNorm = "grad_norm"
    case learningRate = "learning_rate"
    case numTokens = "num_tokens"
    case chosenLogps = "logps/chosen"
    case rejectedLogps = "logps/rejected"
    case chosenRewards = "rewards/chosen"
    case rejectedRewards = "rewards/rejected"
    case rewardMargins = "rewards/margins"
    case rewardAccuracies = "rewards/accuracies"
    case tokensPerSecond = "tokens_per_second"
  }

  public init(
    step: Int, epoch: Double, loss: Double, gradNorm: Double, learningRate: Double, numTokens: Int,
    chosenLogps: Double, rejectedLogps: Double?, chosenRewards: Double?, rejectedRewards: Double?,
    rewardAccuracies: Double?, h: Double?, target: Double?, tokensPerSecond: Double, elapsed: Double,
    remaining: Double, skipped: Bool? = nil
  ) {
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.gradNorm = gradNorm
    self.learningRate = learningRate
    self.numTokens = numTokens
    self.chosenLogps = chosenLogps
    self.rejectedLogps = rejectedLogps
    self.chosenRewards = chosenRewards
    self.rejectedRewards = rejectedRewards
    if let chosenRewards, let rejectedRewards { rewardMargins = chosenRewards - rejectedRewards }
    self.rewardAccuracies = rewardAccuracies
    self.h = h
    self.target = target
    self.tokensPerSecond = tokensPerSecond
    self.elapsed = elapsed
    self.remaining = remaining
    self.skipped = skipped
  }
}

extension MetricsLine {
  /// One JSON object without a line end. Numbers that are not finite are written as "NaN", "Infinity", "-Infinity".
  public func line() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return try encoder.encode(self)
  }

  public init(line: Data) throws {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    self = try decoder.decode(Self.self, from: line)
  }
}

public enum MetricsError: Error, Equatable, CustomStringConvertible {
  case shorter(path: String, needs: Int, has: Int)

  public var description: String {
    switch self {
    case .shorter(let path, let needs, let has):
      "Metrics file '\(path)' has \(has) bytes, the checkpoint remembers \(needs). Put back the file of this run."
    }
  }
}

/// `metrics.jsonl`, only ever appended to. A resumed run cuts it back to the position its checkpoint remembers, so that
/// lines of steps that will be repeated do not stay in it.
public final class MetricsLog {
  private let file: AppendFile
  /// Bytes written so far; belongs in the checkpoint.
  public var position: Int { file.position }

  /// - Parameter position: where to go on, 0 for a new run.
  /// - Throws: `MetricsError` when the file is shorter than that, `FileError` when it cannot be opened.
  public init(path: String, position: Int = 0) throws {
    if let size = FileSystem.size(path), size < position {
      throw MetricsError.shorter(path: path, needs: position, has: size)
    }
    file = try AppendFile(path, position: position)
  }

  /// The records of a finished file: those of steps, and those of evaluations on held-out pairs.
  public static func read(_ path: String) throws -> (steps: [MetricsRecord], evaluations: [EvaluationRecord]) {
    var (steps, evaluations): ([MetricsRecord], [EvaluationRecord]) = ([], [])
    for line in Data(try AtomicFile.read(path)).split(separator: UInt8(ascii: "\n")) {
      if let evaluation = try? EvaluationRecord(line: line) {
        evaluations.append(evaluation)
      } else {
        steps.append(try MetricsRecord(line: line))
      }
    }
    return (steps, evaluations)
  }

  public func append(_ record: some MetricsLine) throws { try file.append(record.line() + [UInt8(ascii: "\n")]) }

  /// Waits until the lines are on the disk; call it before the checkpoint that remembers `position`.
  public func synchronize() throws(FileError) { try file.synchronize() }
}
