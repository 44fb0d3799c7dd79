/// AdamW: Adam with weight decay applied to the parameters, not to the gradient
/// (Loshchilov & Hutter, arXiv 1711.05101). Knows flat buffers; knows nothing of adapters or losses.

import Foundation
import Tensors

public final class AdamW: Optimizer {
  public struct Options: Equatable, Sendable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    /// Share of each parameter taken off per step, times the learning rate.
    public var weightDecay: Double

    public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0) {
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      self.weightDecay = weightDecay
    }
  }

  public let options: Options
  public var step = 0
  /// Running means of the gradients and of their squares: all parameter buffers one after another.
  public let firstMoments: Buffer<Float>
  public let secondMoments: Buffer<Float>
  public var state: [(name: String, values: Buffer<Float>)] {
    [("moments.first", firstMoments), ("moments.second", secondMoments)]
  }
  private let layout: ParameterLayout

  /// Parameters are those of `OptimizerChoice.make`.
  public init(counts: [Int], rateScales: [Double]? = nil, options: Options = Options()) {
    layout = ParameterLayout(counts: counts, rateScales: rateScales)
    self.options = options
    firstMoments = Buffer(count: layout.total)
    secondMoments = Buffer(count: layout.total)
  }

  public func update(_ parameters: [Buffer<Float>], gradients: [Buffer<Float>], learningRate: Double) {
    step += 1
    layout.forEach(parameters, gradients, learningRate: learningRate) { part in
      let rule = AdamWRule(options, step: step, rate: part.rate)
      let (m, v) = (firstMoments.pointer + part.start, secondMoments.pointer + part.start)
      for i in 0..<part.count { rule.update(&part.x[i], gradient: part.g[i], &m[i], &v[i]) }
    }
  }
}

/// One step for one value, the bias corrections worked out before:
///
///     m ← β1 m + (1−β1) g           v ← β2 v + (1−β2) g²
///     θ ← θ − lr·wd·θ − lr · (m / (1−β1ᵗ)) / (√(v / (1−β2ᵗ)) + ε)
struct AdamWRule {
  private let beta1, beta2, rest1, rest2, keep, rate, rootCorrection2, epsilon: Float

  init(_ options: AdamW.Options, step: Int, rate: Double) {
    (beta1, beta2) = (Float(options.beta1), Float(options.beta2))
    (rest1, rest2) = (Float(1 - options.beta1), Float(1 - options.beta2))
    keep = Float(1 - rate * options.weightDecay)
    self.rate = Float(rate / (1 - pow(options.beta1, Double(step))))
    rootCorrection2 = Float((1 - pow(options.beta2, Double(step))).squareRoot())
    epsilon = Float(options.epsilon)
  }

  @inline(__always)
  func update(_ x: inout Float, gradient g: Float, _ m: inout Float, _ v: inout Float) {
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    x = x * keep - rate * m / (v.squareRoot() / rootCorrection2 + epsilon)
  }
}
