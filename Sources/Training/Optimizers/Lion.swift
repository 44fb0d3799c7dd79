/// Lion: every value moves by the learning rate, only the sign is learnt (Chen et al. 2023, arXiv 2302.06675, Algorithm 2).
/// Its rate should be 3 to 10 times below AdamW's, as the paper advises.

import Tensors

public final class Lion: Optimizer {
  public struct Options: Equatable, Sendable {
    /// Weight of the momentum against the gradient in the sign.
    public var beta1: Double
    /// Of the momentum itself.
    public var beta2: Double
    /// Share of each parameter taken off per step, times the learning rate.
    public var weightDecay: Double

    public init(beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0) {
      self.beta1 = beta1
      self.beta2 = beta2
      self.weightDecay = weightDecay
    }
  }

  public let options: Options
  public var step = 0
  /// All parameter buffers one after another.
  private let momentum: Buffer<Float>
  public var state: [(name: String, values: Buffer<Float>)] { [("momentum", momentum)] }
  private let layout: ParameterLayout

  /// Parameters are those of `OptimizerChoice.make`.
  public init(counts: [Int], rateScales: [Double]? = nil, options: Options = Options()) {
    layout = ParameterLayout(counts: counts, rateScales: rateScales)
    self.options = options
    momentum = Buffer(count: layout.total)
  }

  ///     c = β1 m + (1−β1) g           θ ← θ − lr·wd·θ − lr·sign(c)           m ← β2 m + (1−β2) g
  ///
  /// The sign of 0 is 0.
  public func update(_ parameters: [Buffer<Float>], gradients: [Buffer<Float>], learningRate: Double) {
    step += 1
    let (beta1, beta2) = (Float(options.beta1), Float(options.beta2))
    let (rest1, rest2) = (Float(1 - options.beta1), Float(1 - options.beta2))
    layout.forEach(parameters, gradients, learningRate: learningRate) { part in
      let keep = Float(1 - part.rate * options.weightDecay)
      let rate = Float(part.rate)
      let (x, g, m) = (part.x, part.g, momentum.pointer + part.start)
      for i in 0..<part.count {
        let c = beta1 * m[i] + rest1 * g[i]
        let sign: Float = c > 0 ? 1 : c < 0 ? -1 : 0
        x[i] = x[i] * keep - rate * sign
        m[i] = beta2 * m[i] + rest2 * g[i]
      }
    }
  }
}
