/// SLiC's hinge (Zhao et al., arXiv 2305.10425) on DPO's margin: max(0, 1 − βd), d the margin over π_ref. With a probability
/// P, the mean over verdicts.

import Training

public struct HingeLoss: PairLoss, Equatable {
  public let beta: Double

  public init(beta: Double) throws(LossError) {
    try requirePositive("beta", beta)
    self.beta = beta
  }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let p = m.probability ?? 1
    let h = m.policy - m.reference
    let (won, lost) = (max(0, 1 - beta * h), max(0, 1 + beta * h))
    let slope = (lost > 0 ? (1 - p) * beta : 0) - (won > 0 ? p * beta : 0)
    return PairOutcome(loss: p * won + (1 - p) * lost, dPolicy: slope, h: h, target: 1 / beta)
  }
}
