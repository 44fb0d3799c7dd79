/// What is wrong with a loss's settings.

public enum LossError: Error, Equatable, CustomStringConvertible {
  case notPositive(String, Double)
  case tauOutside(tau: Double, eta: Double)
  case noRatio
  case badSmoothing(Double)
  case noSmoothing
  case notGamma(Double)

  public var description: String {
    switch self {
    case .notPositive(let name, let value): "The loss needs \(name) above 0, not \(value)."
    case .tauOutside(let tau, let eta):
      "The loss needs 0 ≤ tau ≤ eta, got tau \(tau) and eta \(eta). Lower tau, or give --ratio between 0 and 1."
    case .noRatio:
      "A ratio tau/eta of 0 takes the reference out of the loss. Write ratio 0 yourself if that is meant; 1/3 is usual."
    case .badSmoothing(let value):
      "The loss needs a label smoothing from 0 to below 1/2, the share of wrong verdicts, not \(value)."
    case .noSmoothing:
      "The loss robust corrects for a share of wrong verdicts, and without one it is dpo. Give --label-smoothing above 0, or "
        + "choose dpo."
    case .notGamma(let value): "The loss needs gamma of at least 0, not \(value)."
    }
  }
}

/// Throws unless `value` is above 0.
func requirePositive(_ name: String, _ value: Double) throws(LossError) {
  guard value.isFinite, value > 0 else { throw .notPositive(name, value) }
}
