/// The metrics of one batch in the making: means over its pairs, under TRL's names. What the loss does not look at has none.
struct BatchSums {
  let pairs: Int
  let rewardScale: Double
  private(set) var loss = 0.0
  private(set) var tokens = 0
  private var h: Double?
  private var target: Double?
  private var chosenLogps = 0.0
  private var rejectedLogps: Double?
  private var chosenRewards: Double?
  private var rejectedRewards: Double?
  private var accuracies: Double?

  init(pairs: Int, rewardScale: Double) {
    self.pairs = pairs
    self.rewardScale = rewardScale
  }

  mutating func add(_ pair: TrainingPair, _ margins: PairMargins, _ outcome: PairOutcome) {
    let (chosen, rejected) = (margins.chosen, margins.rejected)
    loss += outcome.loss / Double(pairs)
    h.add(outcome.h, of: pairs)
    target.add(outcome.target, of: pairs)
    chosenLogps += chosen.policy / Double(pairs)
    tokens += pair.tokens
    guard pair.hasRejected else { return }
    rejectedLogps.add(rejected.policy, of: pairs)
    guard !margins.reference.isNaN else { return }
    let chosenReward = rewardScale * (chosen.policy - chosen.reference)
    let rejectedReward = rewardScale * (rejected.policy - rejected.reference)
    chosenRewards.add(chosenReward, of: pairs)
    rejectedRewards.add(rejectedReward, of: pairs)
    accuracies.add(chosenReward > rejectedReward ? 1 : 0, of: pairs)
  }

  func record(
    step: Int, epoch: Double, gradNorm: Double, learningRate: Double, numTokens: Int, tokensPerSecond: Double,
    elapsed: Double, remaining: Double, skipped: Bool?
  ) -> MetricsRecord {
    MetricsRecord(
      step: step, epoch: epoch, loss: loss, gradNorm: gradNorm, learningRate: learningRate, numTokens: numTokens,
      chosenLogps: chosenLogps, rejectedLogps: rejectedLogps, chosenRewards: chosenRewards,
      rejectedRewards: rejectedRewards, rewardAccuracies: accuracies, h: h, target: target,
      tokensPerSecond: tokensPerSecond, elapsed: elapsed, remaining: remaining, skipped: skipped)
  }

  /// The same means as those of an evaluation.
  func evaluation(step: Int, epoch: Double) -> EvaluationRecord {
    EvaluationRecord(
      step: step, epoch: epoch, loss: loss, chosenLogps: chosenLogps, rejectedLogps: rejectedLogps,
      chosenRewards: chosenRewards, rejectedRewards: rejectedRewards, rewardAccuracies: accuracies)
  }
}

extension Double? {
  /// Adds one of `count` values to their mean; a value that is not there adds nothing.
  fileprivate mutating func add(_ value: Double?, of count: Int) {
    if let value { self = (self ?? 0) + value / Double(count) }
  }
}
