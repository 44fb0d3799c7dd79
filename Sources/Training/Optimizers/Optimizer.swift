/// What the trainer asks of an optimiser, and the choice among them. Each one is a file beside this.

import Tensors

/// Changes parameters by their gradients, buffer after buffer, on one thread, in a fixed order.
public protocol Optimizer: AnyObject {
  /// Updates made so far. Set it together with the state when resuming.
  var step: Int { get set }
  /// What it remembers between steps, by name: a checkpoint keeps these bits and puts them back in place.
  var state: [(name: String, values: Buffer<Float>)] { get }

  /// One step. Buffers keep the order and the counts the optimiser was made for; gradients are read only.
  func update(_ parameters: [Buffer<Float>], gradients: [Buffer<Float>], learningRate: Double)
}

/// An optimiser with its settings, before it knows its parameters.
public enum OptimizerChoice: Equatable, Sendable {
  case adamW(AdamW.Options = .init())
  case adamW8Bit(AdamW.Options = .init())
  case sgd(SGD.Options = .init())
  case lion(Lion.Options = .init())

  /// - Parameters:
  ///   - counts: values in each parameter buffer, in the order `update` will get them.
  ///   - rateScales: what multiplies the learning rate of each buffer; nil is 1 for all.
  public func make(counts: [Int], rateScales: [Double]? = nil) -> any Optimizer {
    switch self {
    case .adamW(let options): AdamW(counts: counts, rateScales: rateScales, options: options)
    case .adamW8Bit(let options): AdamW8Bit(counts: counts, rateScales: rateScales, options: options)
    case .sgd(let options): SGD(counts: counts, rateScales: rateScales, options: options)
    case .lion(let options): Lion(counts: counts, rateScales: rateScales, options: options)
    }
  }

  /// Of the state, beside the parameter and its gradient. A buffer whose end is no whole block may need a few bytes more.
  public var bytesPerParameter: Double {
    switch self {
    case .adamW: 8
    case .adamW8Bit: 2 + 8 / Double(AdamW8Bit.block)
    case .sgd, .lion: 4
    }
  }
}

/// How settings name the optimisers.
public enum OptimizerName: String, CaseIterable, Sendable {
  case adamW = "adamw"
  case adamW8Bit = "adamw-8bit"
  case sgd, lion

  /// With the usual values for everything but the decay.
  public func choice(weightDecay: Double) -> OptimizerChoice {
    switch self {
    case .adamW: .adamW(.init(weightDecay: weightDecay))
    case .adamW8Bit: .adamW8Bit(.init(weightDecay: weightDecay))
    case .sgd: .sgd(.init(weightDecay: weightDecay))
    case .lion: .lion(.init(weightDecay: weightDecay))
    }
  }
}

/// Where each parameter buffer's values lie in the state, and at what share of the learning rate it moves.
struct ParameterLayout {
  let counts: [Int]
  private let rateScales: [Double]
  /// Values in all buffers together.
  var total: Int { counts.reduce(0, +) }

  init(counts: [Int], rateScales: [Double]?) {
    precondition(
      rateScales.map { $0.count == counts.count } ?? true,
      "\(rateScales?.count ?? 0) rate scales for \(counts.count) buffers")
    self.counts = counts
    self.rateScales = rateScales ?? counts.map { _ in 1 }
  }

  /// One parameter buffer, its gradient, the place of its first value in the state, and its learning rate.
  struct Part {
    let index: Int
    let x: UnsafeMutablePointer<Float>
    let g: UnsafeMutablePointer<Float>
    let start: Int
    let count: Int
    let rate: Double
  }

  func forEach(
    _ parameters: [Buffer<Float>], _ gradients: [Buffer<Float>], learningRate: Double, _ body: (Part) -> Void
  ) {
    precondition(
      parameters.map(\.count) == counts && gradients.map(\.count) == counts,
      "the optimiser was made for buffers of \(counts) values, got parameters of \(parameters.map(\.count)) "
        + "and gradients of \(gradients.map(\.count))")
    var start = 0
    for (index, (x, g)) in zip(parameters, gradients).enumerated() {
      body(
        Part(
          index: index, x: x.pointer, g: g.pointer, start: start, count: x.count,
          rate: learningRate * rateScales[index]))
      start += x.count
    }
  }
}
