/// The metrics of one batch in the making: means over its pairs, under TRL's names.
struct BatchSums {
  let pairs: Int
  let rewardScale: Double
  private(set) var loss = 0.0
  private(set) var tokens = 0
  private var h = 0.0
  private var target: Double?
  private var chosenLogps = 0.0
  private var rejectedLogps = 0.0
  private var chosenRewards = 0.0
  private var rejectedRewards = 0.0
  private var accuracies = 0.0

  init(pairs: Int, rewardScale: Double) {
    self.pairs = pairs
    self.rewardScale = rewardScale
  }

  mutating func add(_ pair: TrainingPair, _ outcome: PairOutcome, chosen: Double, rejected: Double) {
    let share = 1 / Double(pairs)
    let chosenReward = rewardScale * (chosen - pair.referenceChosen)
    let rejectedReward = rewardScale * (rejected - pair.referenceRejected)
    loss += share * outcome.loss
    h += share * outcome.h
    if let value = outcome.target { target = (target ?? 0) + share * value }
    chosenLogps += share * chosen
    rejectedLogps += share * rejected
    chosenRewards += share * chosenReward
    rejectedRewards += share * rejectedReward
    accuracies += chosenReward > rejectedReward ? share : 0
    tokens += pair.tokens
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
      chosenRewards: chosenRewards, rejectedRewards: rejectedRewards, rewardMargins: chosenRewards - rejectedRewards,
      rewardAccuracies: accuracies)
  }
}
