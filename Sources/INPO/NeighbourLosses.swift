/// Losses that differ from INPO's in one idea each, for comparison. All use sums over the answer's tokens.

import Foundation
import Training

/// IPO (Azar et al., arXiv 2310.12036): the margin over π_ref is aimed at 1/(2β). INPO's first round, with β = η.
public struct IPOLoss: PairLoss, Equatable {
  public let beta: Double

  public init(beta: Double) throws(LossError) {
    guard beta.isFinite, beta > 0 else { throw .notPositive("beta", beta) }
    self.beta = beta
  }

  public func callAsFunction(_ margins: PairMargins) -> PairOutcome {
    let h = margins.policy - margins.reference
    let target = ((margins.probability ?? 1) - 0.5) / beta
    let residual = h - target
    return PairOutcome(loss: residual * residual, dPolicy: 2 * residual, h: h, target: target)
  }
}

/// DPO (Rafailov et al., arXiv 2305.18290): −log σ(βd), d the margin over π_ref. With a probability P, the mean over
/// verdicts, −P log σ(βd) − (1−P) log σ(−βd), which is conservative DPO with ε = 1 − P.
public struct DPOLoss: PairLoss, Equatable {
  public let beta: Double

  public init(beta: Double) throws(LossError) {
    guard beta.isFinite, beta > 0 else { throw .notPositive("beta", beta) }
    self.beta = beta
  }

  public func callAsFunction(_ margins: PairMargins) -> PairOutcome {
    let h = margins.policy - margins.reference
    let won = margins.probability ?? 1
    let lost = 1 - won
    // log(1 + e^−x) without overflow for large negative x.
    func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
    let loss = won * softplus(-beta * h) + lost * softplus(beta * h)
    let sigmoid = 1 / (1 + exp(-beta * h))
    return PairOutcome(loss: loss, dPolicy: beta * (sigmoid - won), h: h, target: nil)
  }
}
