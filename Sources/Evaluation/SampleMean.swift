/// A mean and its standard error, for quantities estimated from samples.

public struct SampleMean: Equatable, Sendable {
  public let mean: Double
  /// Standard deviation with n − 1, over √n; 0 below two samples.
  public let standardError: Double
  public let count: Int

  public init(_ values: [Double]) {
    count = values.count
    let n = Double(max(count, 1))
    let mean = values.reduce(0, +) / n
    self.mean = mean
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardError = count < 2 ? 0 : (squares / (n - 1) / n).squareRoot()
  }

  /// KL(π‖π_ref) per answer, in nats: the mean of log π(y) − log π_ref(y) over answers y sampled from π at
  /// temperature 1 with nothing cut off. Single terms may be negative, the expectation is not.
  ///
  /// - Precondition: one reference value per policy value.
  public static func kl(policyLogps: [Double], referenceLogps: [Double]) -> SampleMean {
    precondition(
      policyLogps.count == referenceLogps.count,
      "\(policyLogps.count) answers scored by the policy, \(referenceLogps.count) by the reference")
    return SampleMean(zip(policyLogps, referenceLogps).map { $0 - $1 })
  }
}
