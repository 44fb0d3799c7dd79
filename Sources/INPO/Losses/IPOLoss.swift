/// IPO (Azar et al., arXiv 2310.12036): (d − 1/(2β))², d the margin over π_ref. INPO's first round, with β = η.
///
/// With a probability P the target is (P − ½)/β, the mean over verdicts but for a constant. On pairs drawn from the policy in
/// training this is online IPO (Calandriello et al., arXiv 2403.08635); the loss is the same, only the pairs are others.

import Training

public struct IPOLoss: PairLoss, Equatable {
  public let beta: Double
  /// Divides each answer's log-ratio by its tokens first, as TRL does; h and the target are then nats a token.
  public let perToken: Bool

  public init(beta: Double, perToken: Bool = false) throws(LossError) {
    try requirePositive("beta", beta)
    self.beta = beta
    self.perToken = perToken
  }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let (nW, nL) = perToken ? (Double(m.chosen.tokens), Double(m.rejected.tokens)) : (1, 1)
    let h = (m.chosen.policy - m.chosen.reference) / nW - (m.rejected.policy - m.rejected.reference) / nL
    let target = ((m.probability ?? 1) - 0.5) / beta
    let residual = h - target
    return PairOutcome(
      loss: residual * residual, dChosen: 2 * residual / nW, dRejected: -2 * residual / nL, h: h, target: target)
  }
}
