/// The population losses whose minimiser is the next policy of `TabularGame`.

import Foundation
import Training

extension TabularGame {
  private func margins(_ policy: [Double], _ y: Int, _ other: Int, last: [Double]) -> PairMargins {
    func logps(_ y: Int) -> AnswerLogps {
      AnswerLogps(policy: log(policy[y]), reference: log(reference[y]), previous: log(last[y]))
    }
    return PairMargins(chosen: logps(y), rejected: logps(other))
  }

  /// Mean over independent y, y' ~ `last` of `term(y, y')`.
  private func mean(over last: [Double], _ term: (Int, Int) -> Double) -> Double {
    last.indices.reduce(0) { sum, y in
      last.indices.reduce(sum) { $0 + last[y] * last[$1] * term(y, $1) }
    }
  }

  /// Eq. 7: E (h_t(π, y, y') − [P(y ≻ π_t) − P(y' ≻ π_t)]/η)², y, y' ~ π_t.
  public func squaredLoss(of policy: [Double], last: [Double], eta: Double) throws -> Double {
    let loss = try INPOLoss(eta: eta, tau: tau)
    let preference = preference(over: last)
    return mean(over: last) { y, other in
      let residual = loss.h(margins(policy, y, other, last: last)) - (preference[y] - preference[other]) / eta
      return residual * residual
    }
  }

  /// Eq. 8: the same over pairs labelled by the oracle, aimed at 1/(2η). It differs from Eq. 7 by a constant.
  public func pairLoss(of policy: [Double], last: [Double], eta: Double) throws -> Double {
    let loss = try INPOLoss(eta: eta, tau: tau)
    return mean(over: last) { y, other in
      matrix[y][other] * loss(margins(policy, y, other, last: last)).loss
        + matrix[other][y] * loss(margins(policy, other, y, last: last)).loss
    }
  }
}
