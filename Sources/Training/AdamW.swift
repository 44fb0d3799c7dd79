/// AdamW: Adam with weight decay applied to the parameters, not to the gradient
/// (Loshchilov & Hutter, arXiv 1711.05101). Knows flat buffers; knows nothing of adapters or losses.

import Foundation
import Tensors

public final class AdamW {
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
  /// Updates made so far. Set it together with the moments when resuming.
  public var step = 0
  /// Running means of the gradients and of their squares: all parameter buffers one after another.
  public let firstMoments: Buffer<Float>
  public let secondMoments: Buffer<Float>
  private let counts: [Int]

  /// - Parameter counts: values in each parameter buffer, in the order `update` will get them.
  public init(counts: [Int], options: Options = Options()) {
    self.counts = counts
    self.options = options
    let total = counts.reduce(0, +)
    firstMoments = Buffer(count: total)
    secondMoments = Buffer(count: total)
  }

  /// One step. Buffers keep the order and the counts given to `init`; gradients are read only.
  ///
  ///     m ← β1 m + (1−β1) g           v ← β2 v + (1−β2) g²
  ///     θ ← θ − lr·wd·θ − lr · (m / (1−β1ᵗ)) / (√(v / (1−β2ᵗ)) + ε)
  public func update(_ parameters: [Buffer<Float>], gradients: [Buffer<Float>], learningRate: Double) {
    precondition(
      parameters.map(\.count) == counts && gradients.map(\.count) == counts,
      "the optimiser holds moments for buffers of \(counts) values, got parameters of \(parameters.map(\.count)) "
        + "and gradients of \(gradients.map(\.count))")
    step += 1
    let correction1 = 1 - pow(options.beta1, Double(step))
    let correction2 = 1 - pow(options.beta2, Double(step))
    let (beta1, beta2) = (Float(options.beta1), Float(options.beta2))
    let (rest1, rest2) = (Float(1 - options.beta1), Float(1 - options.beta2))
    let keep = Float(1 - learningRate * options.weightDecay)
    let rate = Float(learningRate / correction1)
    let rootCorrection2 = Float(correction2.squareRoot())
    let epsilon = Float(options.epsilon)

    var start = 0
    for (parameter, gradient) in zip(parameters, gradients) {
      let (x, g) = (parameter.pointer, gradient.pointer)
      let (m, v) = (firstMoments.pointer + start, secondMoments.pointer + start)
      for i in 0..<parameter.count {
        m[i] = beta1 * m[i] + rest1 * g[i]
        v[i] = beta2 * v[i] + rest2 * (g[i] * g[i])
        x[i] = x[i] * keep - rate * m[i] / (v[i].squareRoot() / rootCorrection2 + epsilon)
      }
      start += parameter.count
    }
  }
}
