/// SPPO (Wu et al., arXiv 2405.00675): each answer by itself. With a = log π(y) − log π_t(y),
///
///     ½ (a_w − (P_w − ½)/β)² + ½ (a_l − (P_l − ½)/β)²        P = P(y ≻ π_t)
///     (a_w − 1/(2β))² + (a_l + 1/(2β))²                       for a verdict
///
/// P_w and P_l are the pair's win rates. Without them a probability P(y_w ≻ y_l) stands for both: P_w = P, P_l = 1 − P.

import Training

public struct SPPOLoss: PairLoss, Equatable {
  /// The paper's 1/η.
  public let beta: Double

  public init(beta: Double) throws(LossError) {
    try requirePositive("beta", beta)
    self.beta = beta
  }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let pW = m.chosen.winRate ?? m.probability
    let pL = m.rejected.winRate ?? m.probability.map { 1 - $0 }
    let weight = pW == nil && pL == nil ? 1 : 0.5
    let targetW = ((pW ?? 1) - 0.5) / beta
    let targetL = ((pL ?? 0) - 0.5) / beta
    let aW = m.chosen.policy - m.chosen.previous
    let aL = m.rejected.policy - m.rejected.previous
    let (residualW, residualL) = (aW - targetW, aL - targetL)
    return PairOutcome(
      loss: weight * (residualW * residualW + residualL * residualL), dChosen: 2 * weight * residualW,
      dRejected: 2 * weight * residualL, h: aW - aL, target: targetW - targetL)
  }
}
