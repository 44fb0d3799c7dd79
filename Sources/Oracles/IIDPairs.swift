/// Pairs that are independent draws from the policy, as Proposition 6 of INPO (arXiv 2407.00617) assumes.

import Tokenization

public enum IIDPairs {
  /// Disjoint random pairs of `0..<count`: any two of K independent samples are two independent samples.
  ///
  /// - Parameter pairs: how many are wanted; there are never more than count / 2.
  public static func draw(
    from count: Int, pairs: Int, using random: inout some RandomNumberGenerator
  ) throws(OracleError) -> [(first: Int, second: Int)] {
    guard count >= 2 else { throw .tooFewAnswers(count: count) }
    var order = Array(0..<count)
    let wanted = min(max(pairs, 0), count / 2)
    for i in 0..<(2 * wanted) {
      order.swapAt(i, i + Int(random.next().multipliedFullWidth(by: UInt64(count - i)).high))
    }
    return (0..<wanted).map { (order[2 * $0], order[2 * $0 + 1]) }
  }

  /// λ_p: the pair as (winner, loser), the first answer winning with probability `probability`.
  public static func label(
    first: Int, second: Int, probability: Double, using random: inout some RandomNumberGenerator
  ) -> PairChoice {
    // 53 bits below one: certain verdicts stay certain.
    let uniform = Double(random.next() >> 11) * 0x1p-53
    return uniform < probability
      ? PairChoice(chosen: first, rejected: second, probability: probability)
      : PairChoice(chosen: second, rejected: first, probability: 1 - probability)
  }
}
