import Foundation
import Tensors
import Testing
import Training

/// The same rule in float64, one value at a time.
private struct Twin {
  var x: [Double]
  var m: [Double]
  var v: [Double]
  var t = 0.0

  init(_ x: [Double]) {
    self.x = x
    m = x.map { _ in 0 }
    v = m
  }

  mutating func update(_ g: [Double], rate: Double, decay: Double) {
    t += 1
    for i in x.indices {
      m[i] = 0.9 * m[i] + 0.1 * g[i]
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i]
      let mHat = m[i] / (1 - pow(0.9, t))
      let vHat = v[i] / (1 - pow(0.999, t))
      x[i] -= rate * decay * x[i] + rate * mHat / (vHat.squareRoot() + 1e-8)
    }
  }
}

@Test(arguments: [0, 0.1])
func agreesWithFloat64(decay: Double) {
  var random = CounterRandom(seed: 5).stream
  func draw() -> Float { Float(Double(random.next() >> 11) * 0x1p-52 - 1) }
  let counts = [7, 1, 40]
  let parameters = counts.map { count in Buffer((0..<count).map { _ in draw() }) }
  let optimiser = AdamW(counts: counts, options: .init(weightDecay: decay))
  var twin = Twin(parameters.flatMap { $0.values.map(Double.init) })
  for step in 0..<200 {
    let rate = 1e-3 / Double(1 + step)
    let gradients = counts.map { count in Buffer((0..<count).map { _ in draw() * 1e-3 }) }
    optimiser.update(parameters, gradients: gradients, learningRate: rate)
    twin.update(gradients.flatMap { $0.values.map(Double.init) }, rate: rate, decay: decay)
  }
  // Each step rounds a parameter below 1 by at most 2⁻²⁵ twice, and its change (below 1e-2·rate-sum) by some 1e-6 of
  // itself: 200·2·2⁻²⁵ is 1.2e-5 at the very worst and √200·2⁻²⁵·2 = 8e-7 expected; four times that.
  for (got, want) in zip(parameters.flatMap(\.values), twin.x) { #expect(abs(Double(got) - want) < 3.4e-6) }
  #expect(optimiser.step == 200)
}

@Test func firstStepsByHand() {
  let x = Buffer<Float>([1, 1, 1])
  let optimiser = AdamW(counts: [3], options: .init(weightDecay: 0.5))
  // m̂ = g and v̂ = g² on the first step, so each moves by the rate against the sign, whatever the gradient's size,
  // after losing rate·decay = 0.05 of itself.
  optimiser.update([x], gradients: [Buffer([1e-3, -200, 0])], learningRate: 0.1)
  for (got, want) in zip(x.values, [0.85, 1.05, 0.95]) { #expect(abs(Double(got) - want) < 2e-6) }
  #expect(abs(optimiser.firstMoments[1] + 20) < 1e-5)
  #expect(abs(optimiser.secondMoments[1] - 40) < 1e-5)
  // Second step with the opposite gradient: m = 0.9·0.1g − 0.1g = −0.01g, corrected by 1 − 0.81; v̂ = g² again.
  optimiser.update([x], gradients: [Buffer([-1e-3, 200, 0])], learningRate: 0.1)
  let moved = 0.1 * 0.01 / 0.19
  for (got, want) in zip(x.values, [0.85 * 0.95 + moved, 1.05 * 0.95 - moved, 0.95 * 0.95]) {
    #expect(abs(Double(got) - want) < 2e-6)
  }
}
