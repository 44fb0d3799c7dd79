/// Stochastic gradient descent with momentum, its weight decay apart from the gradient (SGDW of Loshchilov & Hutter,
/// arXiv 1711.05101). The momentum is PyTorch's: not damped, so a steady gradient moves at rate / (1 − μ).

import Tensors

public final class SGD: Optimizer {
  public struct Options: Equatable, Sendable {
    /// μ, from 0 (none) to below 1.
    public var momentum: Double
    /// Share of each parameter taken off per step, times the learning rate.
    public var weightDecay: Double

    public init(momentum: Double = 0.9, weightDecay: Double = 0) {
      self.momentum = momentum
      self.weightDecay = weightDecay
    }
  }

  public let options: Options
  public var step = 0
  /// All parameter buffers one after another.
  private let velocity: Buffer<Float>
  public var state: [(name: String, values: Buffer<Float>)] { [("velocity", velocity)] }
  private let layout: ParameterLayout

  /// Parameters are those of `OptimizerChoice.make`.
  public init(counts: [Int], rateScales: [Double]? = nil, options: Options = Options()) {
    layout = ParameterLayout(counts: counts, rateScales: rateScales)
    self.options = options
    velocity = Buffer(count: layout.total)
  }

  ///     u ← μ u + g           θ ← θ − lr·wd·θ − lr·u
  public func update(_ parameters: [Buffer<Float>], gradients: [Buffer<Float>], learningRate: Double) {
    step += 1
    let momentum = Float(options.momentum)
    layout.forEach(parameters, gradients, learningRate: learningRate) { part in
      let keep = Float(1 - part.rate * options.weightDecay)
      let rate = Float(part.rate)
      let (x, g, u) = (part.x, part.g, velocity.pointer + part.start)
      for i in 0..<part.count {
        u[i] = momentum * u[i] + g[i]
        x[i] = x[i] * keep - rate * u[i]
      }
    }
  }
}
