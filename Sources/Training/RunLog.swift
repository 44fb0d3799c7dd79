/// What a run writes down as it goes: metrics, skipped steps, TensorBoard's events. Each file is cut back to where the
/// checkpoint says, so that a step done twice stands in it once.

import Foundation
import Tensors

/// A step that was left out because its loss or its gradient was not finite: a line of `skipped.jsonl`.
public struct SkippedStep: MetricsLine, Equatable, Sendable {
  public var step: Int
  /// Places of its pairs in the data, from 0.
  public var pairs: [Int]
  /// Their ids, when the pairs have some.
  public var ids: [String?]?
  public var loss: Double
  public var gradNorm: Double

  enum CodingKeys: String, CodingKey {
    case step, pairs, ids, loss
    case gradNorm = "grad_norm"
  }
}

final class RunLog {
  private let metrics: MetricsLog
  private let skippedPath: String
  /// There is no file before the first step that is skipped.
  private var skipped: MetricsLog?
  private let events: TensorBoardLog?

  /// - Parameters:
  ///   - state: where the run stands.
  ///   - nextStep: the first step it will do.
  init(folder: String, tensorBoard: String?, state: Checkpoint.State, nextStep: Int) throws {
    metrics = try MetricsLog(path: folder + "/metrics.jsonl", position: state.metricsPosition)
    skippedPath = folder + "/skipped.jsonl"
    if state.skippedPosition > 0 {
      skipped = try MetricsLog(path: skippedPath, position: state.skippedPosition)
    } else {
      try FileSystem.remove(skippedPath)
    }
    events = try tensorBoard.map { try TensorBoardLog(folder: $0, step: nextStep, time: Self.now) }
  }

  func append(_ record: some MetricsLine) throws {
    try metrics.append(record)
    try events?.append(record, time: Self.now)
  }

  func append(_ step: SkippedStep) throws {
    let log = try skipped ?? MetricsLog(path: skippedPath)
    skipped = log
    try log.append(step)
  }

  /// Waits until the lines are on the disk; `state` then remembers them.
  func synchronize(_ state: inout Checkpoint.State) throws {
    try metrics.synchronize()
    try skipped?.synchronize()
    state.metricsPosition = metrics.position
    state.skippedPosition = skipped?.position ?? 0
  }

  private static var now: Double { Date.now.timeIntervalSince1970 }
}
