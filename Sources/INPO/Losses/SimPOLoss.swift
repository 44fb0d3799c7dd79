/// SimPO (Meng et al., arXiv 2405.14734): −log σ(β·h − γ), h the difference of mean log-probs a token. It has no reference.
/// With a probability P, the mean over verdicts: −P log σ(βh − γ) − (1−P) log σ(−βh − γ).

import Training

public struct SimPOLoss: PairLoss, Equatable {
  public let beta: Double
  /// γ/β is the difference aimed at, in nats a token.
  public let gamma: Double

  public init(beta: Double, gamma: Double) throws(LossError) {
    try requirePositive("beta", beta)
    guard gamma.isFinite, gamma >= 0 else { throw .notGamma(gamma) }
    self.beta = beta
    self.gamma = gamma
  }

  public var needs: PairNeeds { .rejected }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let p = m.probability ?? 1
    let (nW, nL) = (Double(m.chosen.tokens), Double(m.rejected.tokens))
    let h = m.chosen.policy / nW - m.rejected.policy / nL
    let (won, lost) = (beta * h - gamma, -beta * h - gamma)
    let loss = -p * logSigmoid(won) - (1 - p) * logSigmoid(lost)
    let slope = beta * ((1 - p) * sigmoid(-lost) - p * sigmoid(-won))
    return PairOutcome(
      loss: loss, dChosen: slope / nW, dRejected: -slope / nL, h: h, target: gamma / beta)
  }
}
