/// What a run tells while it works, and what it asks of the row above: an evaluation.

import Training

extension INPORun {
  public enum Phase: String, Sendable {
    case sample, judge, score, train, evaluate
  }

  /// What a run tells while it works. All calls come from the task that runs it.
  public struct Observer {
    /// A phase begins: its round, and how many steps it has.
    public var onPhase: (Int, Phase, Int) -> Void
    /// Steps and tokens done since the last call.
    public var onProgress: (Int, Int) -> Void
    public var onStep: (MetricsRecord) -> Void
    /// An evaluation on held-out pairs, and whether it is the best of its round so far.
    public var onEvaluation: (EvaluationRecord, Bool) -> Void
    /// A sentence worth reading.
    public var onNote: (String) -> Void

    public init(
      onPhase: @escaping (Int, Phase, Int) -> Void = { _, _, _ in },
      onProgress: @escaping (Int, Int) -> Void = { _, _ in },
      onStep: @escaping (MetricsRecord) -> Void = { _ in },
      onEvaluation: @escaping (EvaluationRecord, Bool) -> Void = { _, _ in },
      onNote: @escaping (String) -> Void = { _ in }
    ) {
      self.onPhase = onPhase
      self.onProgress = onProgress
      self.onStep = onStep
      self.onEvaluation = onEvaluation
      self.onNote = onNote
    }
  }

  /// A policy against the reference on held-out prompts.
  public struct Evaluation: Codable, Equatable, Sendable {
    public var winRate: Double
    public var low: Double
    public var high: Double
    public var meanTokens: Double
    public var referenceMeanTokens: Double
    /// nil when the answers were not sampled from the policy itself.
    public var kl: Double?

    public init(
      winRate: Double, low: Double, high: Double, meanTokens: Double, referenceMeanTokens: Double, kl: Double?
    ) {
      self.winRate = winRate
      self.low = low
      self.high = high
      self.meanTokens = meanTokens
      self.referenceMeanTokens = referenceMeanTokens
      self.kl = kl
    }
  }
}

extension Report.Round {
  init(
    _ evaluation: INPORun.Evaluation?, lossFirst: Double?, lossLast: Double?, pairs: Int, seconds: Report.Seconds
  ) {
    self.init(
      winRate: evaluation?.winRate, low: evaluation?.low, high: evaluation?.high, meanTokens: evaluation?.meanTokens,
      referenceMeanTokens: evaluation?.referenceMeanTokens, kl: evaluation?.kl, lossFirst: lossFirst,
      lossLast: lossLast, pairs: pairs, seconds: seconds)
  }
}
