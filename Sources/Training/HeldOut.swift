/// Pairs that are not trained on: how often they are scored, which score is best, and when to give up.
/// Knows no model: the trainer scores, this decides.

public struct HeldOut: Sendable {
  public enum Measure: String, CaseIterable, Sendable {
    case loss, accuracy
  }

  public var pairs: [TrainingPair]
  /// Batches between evaluations; the last batch is followed by one too.
  public var steps: Int
  /// What makes an adapter the best so far.
  public var bestBy: Measure
  /// The run ends after so many evaluations in a row without gain; nil never.
  public var patience: Int?

  public init(pairs: [TrainingPair], steps: Int, bestBy: Measure = .loss, patience: Int? = nil) {
    precondition(!pairs.isEmpty && steps > 0, "\(pairs.count) held-out pairs every \(steps) steps cannot be evaluated")
    self.pairs = pairs
    self.steps = steps
    self.bestBy = bestBy
    self.patience = patience
  }

  /// - Throws: `TrainerError.noAccuracy` for a loss whose answers are not compared with a reference.
  public static func check(_ measure: Measure, for loss: any PairLoss) throws(TrainerError) {
    guard measure == .loss || loss.needs.isSuperset(of: [.rejected, .frozen]) else { throw .noAccuracy }
  }

  public struct Best: Codable, Equatable, Sendable {
    public var value: Double
    /// Batches it was reached after.
    public var step: Int

    public init(value: Double, step: Int) {
      self.value = value
      self.step = step
    }
  }

  /// Where the evaluations stand; part of a checkpoint.
  public struct Standing: Codable, Equatable, Sendable {
    public var best: Best?
    public var withoutGain = 0
    /// Batches before the last evaluation.
    public var evaluatedAt = 0

    public init() {}
  }

  func isDue(after step: Int, of total: Int, _ standing: Standing) -> Bool {
    step > standing.evaluatedAt && (step.isMultiple(of: steps) || step == total)
  }

  /// - Returns: whether `record` is the best so far. One that is not finite, or not there, never is.
  func judge(_ record: EvaluationRecord, _ standing: inout Standing) -> Bool {
    standing.evaluatedAt = record.step
    let value = bestBy == .loss ? record.loss : record.rewardAccuracies ?? .nan
    let isBest =
      value.isFinite && (standing.best.map { bestBy == .loss ? value < $0.value : value > $0.value } ?? true)
    standing.withoutGain = isBest ? 0 : standing.withoutGain + 1
    if isBest { standing.best = Best(value: value, step: record.step) }
    return isBest
  }

  func isOver(_ standing: Standing) -> Bool { patience.map { standing.withoutGain >= $0 } ?? false }
}

/// One evaluation, a line of `metrics.jsonl` of its own, under the names TRL uses. Means over the held-out pairs.
public struct EvaluationRecord: MetricsLine, Equatable, Sendable {
  public var step: Int
  public var epoch: Double
  public var loss: Double
  public var chosenLogps: Double
  // What the loss does not look at has none.
  public var rejectedLogps: Double?
  public var chosenRewards: Double?
  public var rejectedRewards: Double?
  public var rewardMargins: Double?
  public var rewardAccuracies: Double?

  init(
    step: Int, epoch: Double, loss: Double, chosenLogps: Double, rejectedLogps: Double?, chosenRewards: Double?,
    rejectedRewards: Double?, rewardAccuracies: Double?
  ) {
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.chosenLogps = chosenLogps
    self.rejectedLogps = rejectedLogps
    self.chosenRewards = chosenRewards
    self.rejectedRewards = rejectedRewards
    if let chosenRewards, let rejectedRewards { rewardMargins = chosenRewards - rejectedRewards }
    self.rewardAccuracies = rewardAccuracies
  }

  enum CodingKeys: String, CodingKey {
    case step, epoch
    case loss = "eval_loss"
    case chosenLogps = "eval_logps/chosen"
    case rejectedLogps = "eval_logps/rejected"
    case chosenRewards = "eval_rewards/chosen"
    case rejectedRewards = "eval_rewards/rejected"
    case rewardMargins = "eval_rewards/margins"
    case rewardAccuracies = "eval_rewards/accuracies"
  }
}
