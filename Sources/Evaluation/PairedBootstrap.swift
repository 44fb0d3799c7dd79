/// An interval for the mean of per-prompt differences, when their distribution is far from normal.

public enum PairedBootstrap {
  /// Percentile interval of the mean of `differences`, each the difference of two policies on one prompt.
  ///
  /// - Parameters:
  ///   - level: 0.95 cuts 2.5 % from both ends.
  ///   - random: decides the resamples; the same generator gives the same interval.
  /// - Returns: 0…0 without differences.
  public static func interval(
    of differences: [Double], resamples: Int = 10_000, level: Double = 0.95,
    using random: inout some RandomNumberGenerator
  ) -> Interval {
    precondition(resamples > 0 && level > 0 && level < 1, "\(resamples) resamples cannot give a level of \(level)")
    guard !differences.isEmpty else { return Interval(low: 0, high: 0) }
    let count = UInt64(differences.count)
    var means = (0..<resamples).map { _ in
      differences.indices.reduce(0) { sum, _ in
        sum + differences[Int(random.next().multipliedFullWidth(by: count).high)]
      } / Double(count)
    }
    means.sort()
    let tail = (1 - level) / 2
    func quantile(_ share: Double) -> Double { means[min(resamples - 1, Int(share * Double(resamples)))] }
    return Interval(low: quantile(tail), high: quantile(1 - tail))
  }
}
