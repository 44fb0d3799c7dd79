/// INPO's loss on one pair (Zhang et al., arXiv 2407.00617, Eq. 8), with its derivative. Nothing else.

import Training

/// h = log π(y_w)/π(y_l) − (τ/η)·log π_ref(y_w)/π_ref(y_l) − ((η−τ)/η)·log π_t(y_w)/π_t(y_l), aimed at 1/(2η).
public struct INPOLoss: PairLoss, Equatable {
  /// 1/η is the learning rate of the mirror descent: a large η is a small step.
  public let eta: Double
  /// Weight of the KL divergence from π_ref in the game.
  public let tau: Double

  /// - Throws: `LossError` unless 0 < τ ≤ η. With τ = 0 the reference drops out of the loss; ask for it by `withoutKL`.
  public init(eta: Double, tau: Double) throws(LossError) {
    guard tau != 0 else { throw .noRatio }
    try self.init(checked: eta, tau)
  }

  public init(eta: Double, ratio: Double) throws(LossError) { try self.init(eta: eta, tau: ratio * eta) }

  /// τ = 0: only the last policy holds the new one back.
  public static func withoutKL(eta: Double) throws(LossError) -> INPOLoss { try INPOLoss(checked: eta, 0) }

  private init(checked eta: Double, _ tau: Double) throws(LossError) {
    guard eta.isFinite, eta > 0 else { throw .notPositive("eta", eta) }
    guard tau >= 0, tau <= eta else { throw .tauOutside(tau: tau, eta: eta) }
    self.eta = eta
    self.tau = tau
  }

  public func h(_ m: PairMargins) -> Double {
    m.policy - tau / eta * m.reference - (eta - tau) / eta * m.previous
  }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let h = h(m)
    // A verdict aims at 1/(2η); a probability at its mean over verdicts, (P − ½)/η. P = 1 gives the same number.
    let target = ((m.probability ?? 1) - 0.5) / eta
    let residual = h - target
    return PairOutcome(loss: residual * residual, dPolicy: 2 * residual, h: h, target: target)
  }
}
