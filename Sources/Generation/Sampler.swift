import Foundation
import Tensors

/// How a token is drawn from logits. The stages run in llama.cpp's order: top-k, top-p, min-p, temperature.
public struct SamplerConfig: Equatable, Codable, Sendable {
  /// Divides the logits; 0 takes the most probable token.
  public var temperature: Double
  /// Keeps the k most probable tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the smallest set whose probability reaches this, the crossing token included; 1 keeps all.
  public var topP: Double
  /// Keeps tokens at least this fraction as probable as the most probable one; 0 keeps all.
  public var minP: Double

  public init(temperature: Double = 1, topK: Int = 0, topP: Double = 1, minP: Double = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
  }

  /// Whether what is drawn follows the policy's own distribution: temperature 1 and nothing cut.
  public var isPolicyItself: Bool { temperature == 1 && topK == 0 && topP == 1 && minP == 0 }

  /// - Throws: `SamplerError` naming the value that makes no sense.
  public func check() throws(SamplerError) {
    guard temperature.isFinite, temperature >= 0 else { throw .value("temperature", "\(temperature)", "0 or more") }
    guard topK >= 0 else { throw .value("top-k", "\(topK)", "0 (all) or more") }
    guard topP > 0, topP <= 1 else { throw .value("top-p", "\(topP)", "above 0 and at most 1 (all)") }
    guard minP >= 0, minP <= 1 else { throw .value("min-p", "\(minP)", "between 0 (all) and 1") }
  }
}

public enum SamplerError: Error, Equatable, CustomStringConvertible {
  case value(String, String, String)
  case notFinite(position: Int)

  public var description: String {
    switch self {
    case .value(let name, let found, let allowed): "The sampler's \(name) is \(found); give a value \(allowed)."
    case .notFinite(let position):
      "The model's logits at position \(position) are not finite, so nothing can be drawn. The model or adapter is damaged: "
        + "check its SHA-256, or train with a smaller rate."
    }
  }
}

/// Draws tokens. A pure function of the logits and one uniform number.
package struct Sampler {
  package let config: SamplerConfig
  package let kernels: Kernels

  package init(config: SamplerConfig, kernels: Kernels) {
    self.config = config
    self.kernels = kernels
  }

  package struct Draw: Equatable {
    package let token: Int
    /// Log-probability of the token after the whole chain.
    package let behaviourLogProb: Float
  }

  private struct Candidate {
    let token: Int
    let logit: Float
  }

  /// - Parameters:
  ///   - logits: finite, one per token.
  ///   - logSum: log-sum-exp of the logits.
  ///   - uniform: in [0, 1); the draw is the inverse of the cumulative distribution in token order.
  package func draw(_ logits: UnsafeBufferPointer<Float>, logSum: Float, uniform: Double) -> Draw {
    if config.temperature == 0 {
      return Draw(token: Self.argmax(logits), behaviourLogProb: 0)
    }
    if config.topK == 0 && config.topP == 1 && config.minP == 0 {
      return drawFromAll(logits, logSum: logSum, uniform: uniform)
    }
    return drawFromSome(candidates(logits, logSum: logSum), uniform: uniform)
  }

  /// The index of the largest logit; the first of equals.
  static func argmax(_ logits: UnsafeBufferPointer<Float>) -> Int {
    var best = 0
    for i in 1..<max(1, logits.count) where logits[i] > logits[best] { best = i }
    return best
  }

  private func drawFromAll(_ logits: UnsafeBufferPointer<Float>, logSum: Float, uniform: Double) -> Draw {
    let scaled = Buffer<Float>(count: logits.count)
    if config.temperature == 1 {
      for i in 0..<logits.count { scaled.pointer[i] = logits[i] - logSum }
    } else {
      // From the largest logit, so that the best token weighs 1 however small the temperature. Divided, because the inverse
      // of the smallest temperatures is infinite.
      let maximum = Double(logits.max() ?? 0)
      for i in 0..<logits.count { scaled.pointer[i] = Float((Double(logits[i]) - maximum) / config.temperature) }
    }
    let weights = Buffer<Float>(count: logits.count)
    kernels.exp(weights, scaled)
    var total = 0.0
    for i in 0..<logits.count { total += Double(weights.pointer[i]) }
    let threshold = uniform * total
    var sum = 0.0
    var chosen = -1
    for i in 0..<logits.count where weights.pointer[i] > 0 {
      sum += Double(weights.pointer[i])
      chosen = i
      if sum > threshold { break }
    }
    let token = max(chosen, 0)
    return Draw(
      token: token,
      behaviourLogProb: config.temperature == 1
        ? logits[token] - logSum : scaled[token] - Float(Foundation.log(total)))
  }

  private func drawFromSome(_ candidates: [Candidate], uniform: Double) -> Draw {
    let maximum = candidates.map(\.logit).max() ?? 0
    let weights = candidates.map { Foundation.exp(Double($0.logit - maximum) / config.temperature) }
    let total = weights.reduce(0, +)
    let threshold = uniform * total
    var sum = 0.0
    var chosen = candidates.count - 1
    for (i, weight) in weights.enumerated() {
      sum += weight
      if sum > threshold {
        chosen = i
        break
      }
    }
    return Draw(
      token: candidates[chosen].token, behaviourLogProb: Float(Foundation.log(weights[chosen] / total)))
  }

  /// What top-k, top-p and min-p leave, in token order.
  private func candidates(_ logits: UnsafeBufferPointer<Float>, logSum: Float) -> [Candidate] {
    // Tokens below (1 − p) / V together hold less than 1 − p, so top-p can never need one of them; top-k over what is
    // left needs the full list. Sorting only the rest keeps this cheap.
    let floor =
      config.topK == 0 && config.topP < 1
      ? logSum + Float(Foundation.log((1 - config.topP) / Double(logits.count))) : -.infinity
    var list: [Candidate] = []
    for i in 0..<logits.count where logits[i] >= floor { list.append(Candidate(token: i, logit: logits[i])) }
    list.sort { ($0.logit, $1.token) > ($1.logit, $0.token) }
    if config.topK > 0 { list = Array(list.prefix(config.topK)) }
    if config.topP < 1 {
      let all = config.topK > 0 ? list.reduce(0) { $0 + probability($1.logit, logSum) } : 1
      var sum = 0.0
      let crossing = list.firstIndex {
        sum += probability($0.logit, logSum)
        return sum >= config.topP * all
      }
      if let crossing { list = Array(list.prefix(crossing + 1)) }
    }
    if config.minP > 0, let best = list.first?.logit {
      let least = best + Float(Foundation.log(config.minP))
      list = list.filter { $0.logit >= least }
    }
    return list.sorted { $0.token < $1.token }
  }

  private func probability(_ logit: Float, _ logSum: Float) -> Double { Foundation.exp(Double(logit - logSum)) }
}
