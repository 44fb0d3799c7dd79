/// AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101) on one row of float64 parameters.

import Foundation

public struct TwinAdamW: Sendable {
  public var beta1: Double
  public var beta2: Double
  public var eps: Double
  public var weightDecay: Double
  /// Steps taken.
  public private(set) var step = 0
  public private(set) var mean: [Double]
  public private(set) var square: [Double]

  public init(count: Int, beta1: Double = 0.9, beta2: Double = 0.999, eps: Double = 1e-8, weightDecay: Double = 0) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.eps = eps
    self.weightDecay = weightDecay
    mean = [Double](repeating: 0, count: count)
    square = mean
  }

  /// Decay first, p −= lr · λ · p; then p −= lr · m̂ / (√v̂ + eps), with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
  public mutating func update(_ parameters: inout [Double], gradient: [Double], learningRate: Double) {
    precondition(
      parameters.count == mean.count && gradient.count == mean.count,
      "\(parameters.count) parameters and \(gradient.count) gradients for \(mean.count) moments")
    step += 1
    let correction1 = 1 - pow(beta1, Double(step))
    let correction2 = 1 - pow(beta2, Double(step))
    for i in parameters.indices {
      mean[i] = beta1 * mean[i] + (1 - beta1) * gradient[i]
      square[i] = beta2 * square[i] + (1 - beta2) * gradient[i] * gradient[i]
      parameters[i] -= learningRate * weightDecay * parameters[i]
      parameters[i] -= learningRate * (mean[i] / correction1) / ((square[i] / correction2).squareRoot() + eps)
    }
  }
}
