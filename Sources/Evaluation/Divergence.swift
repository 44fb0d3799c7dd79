/// How far one set of distributions is from another.

import Llama
import Tensors

/// Of this policy's distributions from those of a reference, over the tokens of a text.
public struct Divergence: Codable, Equatable, Sendable {
  /// KL(reference ‖ policy) in nats a token: mean with its standard error, 99th percentile, largest. Rounding may make that of
  /// equal distributions a little less than 0.
  public let klMean: Double
  public let klStandardError: Double
  public let klP99: Double
  public let klMax: Double
  /// Share of the places where both have the same most probable token.
  public let topAgreement: Double
  /// |Δ log p| of the text's own tokens, in nats.
  public let logpDeltaMean: Double
  public let logpDeltaMax: Double
}

/// Gathers the distances of single tokens.
struct Distances {
  /// The reference's log-probs `[V]`, to be filled before each `add`.
  let reference: Buffer<Float>
  private let probabilities: Buffer<Float>
  private let kernels: Kernels
  private var kl: [Double] = []
  private var deltas: [Double] = []
  private var agreements = 0

  init(_ model: LlamaModel) {
    reference = Buffer(count: model.vocabularySize)
    probabilities = Buffer(count: model.vocabularySize)
    kernels = model.kernels
  }

  mutating func add(_ row: UnsafeBufferPointer<Float>, target: Int) {
    kernels.exp(probabilities, reference)
    var sum = 0.0
    var (best, referenceBest) = (0, 0)
    for token in row.indices {
      sum += Double(probabilities[token]) * (Double(reference[token]) - Double(row[token]))
      if row[token] > row[best] { best = token }
      if reference[token] > reference[referenceBest] { referenceBest = token }
    }
    kl.append(sum)
    deltas.append(abs(Double(row[target]) - Double(reference[target])))
    if best == referenceBest { agreements += 1 }
  }

  var summary: Divergence? {
    guard !kl.isEmpty else { return nil }
    let sorted = kl.sorted()
    let mean = SampleMean(kl)
    return Divergence(
      klMean: mean.mean, klStandardError: mean.standardError,
      klP99: sorted[(99 * sorted.count + 99) / 100 - 1], klMax: sorted[sorted.count - 1],
      topAgreement: Double(agreements) / Double(kl.count), logpDeltaMean: SampleMean(deltas).mean,
      logpDeltaMax: deltas.max() ?? 0)
  }
}
