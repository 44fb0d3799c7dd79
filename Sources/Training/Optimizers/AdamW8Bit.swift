/// AdamW that keeps its moments in bytes between steps (Dettmers et al. 2021, arXiv 2110.02861): two bytes a parameter and two
/// floats a block of 256, instead of eight bytes. `ByteMoments` has the codes.
///
/// The step itself is AdamW's in float, with the moments it has just computed; only what is remembered is rounded. So the
/// first step has AdamW's bits.

import Tensors

public final class AdamW8Bit: Optimizer {
  /// Values that share a scale. Blocks do not reach from one parameter buffer into the next.
  public static let block = 256

  public let options: AdamW.Options
  public var step = 0
  private let first: ByteMoments
  private let second: ByteMoments
  private let layout: ParameterLayout
  /// Where the blocks of each parameter buffer start.
  private let firstBlocks: [Int]

  public var state: [(name: String, values: Buffer<Float>)] {
    [
      ("moments.first.codes", first.codes), ("moments.first.scales", first.scales),
      ("moments.second.codes", second.codes), ("moments.second.scales", second.scales),
    ]
  }

  /// Parameters are those of `OptimizerChoice.make`.
  public init(counts: [Int], rateScales: [Double]? = nil, options: AdamW.Options = .init()) {
    layout = ParameterLayout(counts: counts, rateScales: rateScales)
    self.options = options
    var blocks = 0
    firstBlocks = counts.map { count in
      defer { blocks += (count + Self.block - 1) / Self.block }
      return blocks
    }
    first = ByteMoments(count: layout.total, blocks: blocks, .signed)
    second = ByteMoments(count: layout.total, blocks: blocks, .positive)
  }

  public func update(_ parameters: [Buffer<Float>], gradients: [Buffer<Float>], learningRate: Double) {
    step += 1
    // The rounding draws from a stream of its own for each step and moment, one number a value.
    let (random1, random2) = (CounterRandom(seed: 1, UInt64(step)), CounterRandom(seed: 2, UInt64(step)))
    let (m, v) = (Buffer<Float>(count: Self.block), Buffer<Float>(count: Self.block))
    layout.forEach(parameters, gradients, learningRate: learningRate) { part in
      let rule = AdamWRule(options, step: step, rate: part.rate)
      for (number, from) in stride(from: 0, to: part.count, by: Self.block).enumerated() {
        let block = firstBlocks[part.index] + number
        let (x, g) = (part.x + from, part.g + from)
        let values = (part.start + from)..<(part.start + min(from + Self.block, part.count))
        first.load(m.pointer, values, block: block)
        second.load(v.pointer, values, block: block)
        for i in 0..<values.count { rule.update(&x[i], gradient: g[i], &m.pointer[i], &v.pointer[i]) }
        first.store(m.pointer, values, block: block, random1)
        second.store(v.pointer, values, block: block, random2)
      }
    }
  }
}
