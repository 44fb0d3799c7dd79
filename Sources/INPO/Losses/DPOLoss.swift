/// DPO (Rafailov et al., arXiv 2305.18290) and its two readings of wrong verdicts: −w log σ(βd) − (1−w) log σ(−βd), d the
/// margin over π_ref.

import Training

/// w is how far y_w is believed to win: 1 for a verdict, P for a probability.
public struct DPOLoss: PairLoss, Equatable {
  public let beta: Double
  /// ε, the share of verdicts that are wrong.
  public let labelSmoothing: Double
  /// What ε does to w. False: w = (1−ε)P + ε(1−P), conservative DPO, which believes less. True: w = (P−ε)/(1−2ε), robust DPO
  /// (Chowdhury et al., arXiv 2403.00409), whose mean over wrong verdicts is the loss of the right ones.
  public let isRobust: Bool

  public init(beta: Double, labelSmoothing: Double = 0, isRobust: Bool = false) throws(LossError) {
    try requirePositive("beta", beta)
    guard labelSmoothing >= 0, labelSmoothing < 0.5 else { throw .badSmoothing(labelSmoothing) }
    if isRobust && labelSmoothing == 0 { throw .noSmoothing }
    self.beta = beta
    self.labelSmoothing = labelSmoothing
    self.isRobust = isRobust
  }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let (p, epsilon) = (m.probability ?? 1, labelSmoothing)
    let w = isRobust ? (p - epsilon) / (1 - 2 * epsilon) : (1 - epsilon) * p + epsilon * (1 - p)
    let h = m.policy - m.reference
    let loss = -w * logSigmoid(beta * h) - (1 - w) * logSigmoid(-beta * h)
    return PairOutcome(loss: loss, dPolicy: beta * (sigmoid(beta * h) - w), h: h)
  }
}
