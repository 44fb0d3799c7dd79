import Foundation
import Tensors

/// Draws tokens: a pure function of the logits and the situation.
package struct Sampler {
  package let config: SamplerConfig
  private let chain: [any SamplerStage]
  private let kernels: Kernels

  package init(config: SamplerConfig, kernels: Kernels) {
    self.config = config
    self.kernels = kernels
    chain = config.chain
  }

  package struct Draw: Equatable {
    package let token: Int
    /// Log-probability of the token after the whole chain.
    package let behaviourLogProb: Float
  }

  /// - Parameters:
  ///   - logits: finite, one per token.
  ///   - logSum: log-sum-exp of the logits.
  /// - Throws: `SamplerError.nothingLeft` when the logit bias forbids all tokens.
  package func draw(
    _ logits: UnsafeBufferPointer<Float>, logSum: Float, _ situation: DrawSituation
  ) throws(SamplerError) -> Draw {
    // One pass over the logits, without a list, for the policy itself and for what only divides them.
    if chain.isEmpty { return drawFromPolicy(logits, logSum: logSum, situation.uniform) }
    if chain.count == 1, let temperature = chain.first as? Temperature, temperature.isPlainDivision {
      return drawFromDivided(logits, situation.uniform)
    }
    let candidates = try candidates(logits, logSum: logSum, situation)
    let (weights, _) = candidates.weights()
    let (place, total) = Self.place(weights, situation.uniform)
    let logProb = log(Double(weights[place]) / total)
    return Draw(token: Int(candidates.list[place].token), behaviourLogProb: Float(logProb))
  }

  /// The limit on the surprise after a draw; nil without Mirostat.
  package func surpriseLimit(after draw: Draw, _ limit: Double?) -> Double? {
    config.mirostat.map { $0.limit(after: draw.behaviourLogProb, limit) }
  }

  /// What the chain leaves, in token order.
  private func candidates(
    _ logits: UnsafeBufferPointer<Float>, logSum: Float, _ situation: DrawSituation
  ) throws(SamplerError) -> Candidates {
    var candidates = Candidates(logits, logSum: logSum, kernels: kernels)
    for stage in chain {
      stage.apply(to: &candidates, situation)
      guard candidates.maximum > -.infinity else { throw .nothingLeft(position: situation.history.count) }
    }
    candidates.sortByToken()
    return candidates
  }

  private func drawFromPolicy(_ logits: UnsafeBufferPointer<Float>, logSum: Float, _ uniform: Double) -> Draw {
    let (logProbs, weights) = (Buffer<Float>(count: logits.count), Buffer<Float>(count: logits.count))
    for i in 0..<logits.count { logProbs.pointer[i] = logits[i] - logSum }
    kernels.exp(weights, logProbs)
    let token = Self.place(weights, uniform).place
    return Draw(token: token, behaviourLogProb: logits[token] - logSum)
  }

  private func drawFromDivided(_ logits: UnsafeBufferPointer<Float>, _ uniform: Double) -> Draw {
    let (scaled, weights) = (Buffer<Float>(count: logits.count), Buffer<Float>(count: logits.count))
    let maximum = Double(logits.max() ?? 0)
    for i in 0..<logits.count { scaled.pointer[i] = Float((Double(logits[i]) - maximum) / config.temperature) }
    kernels.exp(weights, scaled)
    let (token, total) = Self.place(weights, uniform)
    return Draw(token: token, behaviourLogProb: scaled[token] - Float(log(total)))
  }

  /// The inverse of the cumulative distribution: the first place where the weights, summed up, exceed their share.
  private static func place(_ weights: Buffer<Float>, _ uniform: Double) -> (place: Int, total: Double) {
    var total = 0.0
    for i in 0..<weights.count { total += Double(weights.pointer[i]) }
    let threshold = uniform * total
    var sum = 0.0
    var chosen = 0
    for i in 0..<weights.count where weights.pointer[i] > 0 {
      sum += Double(weights.pointer[i])
      chosen = i
      if sum > threshold { break }
    }
    return (chosen, total)
  }
}
