/// Every optimiser against float64: PyTorch's numbers where it has the rule, a twin of a few lines where not.

import Foundation
import Tensors
import TestSupport
import Testing
import Training

/// Ten steps of PyTorch in float64, on values that floats hold exactly.
private struct TorchSteps: Decodable {
  let rate: Double
  let decay: Double
  let momentum: Double
  let start: [Float]
  let gradients: [[Float]]
  /// `[step][value]`
  let adamw: [[Double]]
  let sgd: [[Double]]

  static func read() throws -> TorchSteps {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: tests.appendingPathComponent("Fixtures/optimizers.json"))
    return try JSONDecoder().decode(TorchSteps.self, from: data)
  }

  /// After each of the ten steps, every value is within `bound` of PyTorch's.
  func check(_ optimizer: any Optimizer, against want: [[Double]], bound: Double) {
    let x = Buffer(start)
    for (step, gradient) in gradients.enumerated() {
      optimizer.update([x], gradients: [Buffer(gradient)], learningRate: rate)
      expectClose(x.values, want[step], absolute: bound)
    }
    #expect(want.count == 10 && optimizer.step == 10)
  }
}

/// Random gradients for buffers of these counts.
private func gradients(_ counts: [Int], step: Int, size: Float = 1) -> [Buffer<Float>] {
  counts.enumerated().map { Buffer(Seeded(UInt64(1000 * step + $0)).normals($1, deviation: size)) }
}

@Suite struct OptimizerTests {
  // A value below 4 is rounded twice a step, each time by at most 2⁻²³: 10 · 2 · 2⁻²³ = 2.4e-6. What is added to it is below
  // 0.2 (rate 0.02, and a momentum of at most 10 gradients below 4 each moves by 0.8) and wrong by some 2⁻²² of itself.
  private let bound = 4e-6

  @Test func adamWIsPyTorchs() throws {
    let torch = try TorchSteps.read()
    torch.check(AdamW(counts: [12], options: .init(weightDecay: torch.decay)), against: torch.adamw, bound: bound)
  }

  @Test func momentumIsPyTorchs() throws {
    let torch = try TorchSteps.read()
    torch.check(SGD(counts: [12], options: .init(momentum: torch.momentum)), against: torch.sgd, bound: bound)
  }

  /// Two buffers, the second at 16 times the rate, and decay.
  @Test func sgdAgreesWithFloat64() {
    let (counts, scales, rate) = ([5, 9], [1.0, 16], 1e-3)
    let x = counts.map { Buffer(Seeded(UInt64($0)).normals($0, deviation: 1)) }
    let sgd = SGD(counts: counts, rateScales: scales, options: .init(momentum: 0.8, weightDecay: 0.5))
    var (want, u) = (x.map { $0.values.map(Double.init) }, counts.map { [Double](repeating: 0, count: $0) })
    for step in 0..<10 {
      let g = gradients(counts, step: step)
      sgd.update(x, gradients: g, learningRate: rate)
      for b in counts.indices {
        for i in 0..<counts[b] {
          u[b][i] = 0.8 * u[b][i] + Double(g[b][i])
          want[b][i] -= scales[b] * rate * (0.5 * want[b][i] + u[b][i])
        }
      }
    }
    for b in counts.indices { expectClose(x[b].values, want[b], absolute: bound) }
  }

  @Test func lionAgreesWithFloat64() {
    let (counts, scales, rate) = ([5, 9], [1.0, 16], 1e-3)
    let x = counts.map { Buffer(Seeded(UInt64($0)).normals($0, deviation: 1)) }
    let lion = Lion(counts: counts, rateScales: scales, options: .init(weightDecay: 0.5))
    var (want, m) = (x.map { $0.values.map(Double.init) }, counts.map { [Double](repeating: 0, count: $0) })
    for step in 0..<10 {
      let g = gradients(counts, step: step)
      lion.update(x, gradients: g, learningRate: rate)
      for b in counts.indices {
        for i in 0..<counts[b] {
          let c = 0.9 * m[b][i] + 0.1 * Double(g[b][i])
          want[b][i] -= scales[b] * rate * (0.5 * want[b][i] + (c > 0 ? 1 : -1))
          m[b][i] = 0.99 * m[b][i] + 0.01 * Double(g[b][i])
        }
      }
    }
    for b in counts.indices { expectClose(x[b].values, want[b], absolute: bound) }
  }

  @Test func lionStandsStillWithoutAGradient() {
    let x = Buffer<Float>([3, -2])
    Lion(counts: [2]).update([x], gradients: [Buffer([0, 1e-20])], learningRate: 0.5)
    #expect(x.values == [3, -2.5])
  }

  /// LoRA+: a buffer at twice the rate is a buffer alone with twice the rate.
  @Test(arguments: OptimizerName.allCases) func aRateScaleIsARate(name: OptimizerName) {
    let choice = name.choice(weightDecay: 0.1)
    let (pair, alone) = (choice.make(counts: [3, 5], rateScales: [1, 2]), choice.make(counts: [5]))
    let (first, second, want) = (Buffer<Float>([1, 2, 3]), Buffer<Float>(count: 5), Buffer<Float>(count: 5))
    for step in 0..<3 {
      let g = gradients([3, 5], step: step)
      pair.update([first, second], gradients: g, learningRate: 0.01)
      alone.update([want], gradients: [g[1]], learningRate: 0.02)
      // Moments in bytes are rounded by place, and the places differ: the first step is exact.
      if name != .adamW8Bit || step == 0 { #expect(second.values == want.values) }
    }
    #expect(first.values != [1, 2, 3] && second.values.allSatisfy { $0 != 0 })
  }

  @Test(arguments: OptimizerName.allCases) func theStateIsAllThereIs(name: OptimizerName) {
    let counts = [7, 300]
    let choice = name.choice(weightDecay: 0.1)
    let (whole, first, resumed) = (
      choice.make(counts: counts), choice.make(counts: counts), choice.make(counts: counts)
    )
    let (a, b) = (counts.map { Buffer<Float>(count: $0) }, counts.map { Buffer<Float>(count: $0) })
    for step in 0..<6 { whole.update(a, gradients: gradients(counts, step: step), learningRate: 0.01) }
    for step in 0..<3 { first.update(b, gradients: gradients(counts, step: step), learningRate: 0.01) }
    resumed.step = first.step
    for (from, to) in zip(first.state, resumed.state) {
      #expect(from.name == to.name)
      to.values.pointer.update(from: from.values.pointer, count: from.values.count)
    }
    for step in 3..<6 { resumed.update(b, gradients: gradients(counts, step: step), learningRate: 0.01) }
    #expect(a.map(\.values) == b.map(\.values))
  }

  @Test(arguments: OptimizerName.allCases) func theStateTakesTheBytesItSays(name: OptimizerName) {
    let choice = name.choice(weightDecay: 0)
    let bytes = choice.make(counts: [256, 1024]).state.reduce(0) { $0 + 4 * $1.values.count }
    #expect(Double(bytes) == 1280 * choice.bytesPerParameter)
  }
}
