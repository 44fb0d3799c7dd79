/// Row operations against numbers worked by hand, and their backwards against differences.

import Foundation
import ReferenceModel
import Testing

@Suite struct RowsTests {
  @Test func rmsNormByHand() {
    let x = TwinTensor(rows: 1, columns: 2, values: [3, 4])
    let w = TwinTensor(rows: 1, columns: 2, values: [1, 2])
    // mean of squares 12.5, plus 3.5 is 16: the root is 4.
    #expect(twinRMSNorm(x, w, eps: 3.5).values == [0.75, 2])
  }

  @Test func rmsNormBackwardIsItsDerivative() {
    var random = TwinRandom(seed: 3)
    let (x, w, dy) = (random.tensor(2, 5, bound: 2), random.tensor(1, 5, bound: 2), random.tensor(2, 5, bound: 1))
    var dx = TwinTensor(zerosLike: x)
    twinRMSNormBackward(&dx, from: dy, at: x, w, eps: 0.1)
    let want = differences({ inner(dy, twinRMSNorm(like(x, $0), w, eps: 0.1)) }, at: x.values)
    expectClose(dx.values, want, relative: 1e-6, absolute: 1e-10)
  }

  @Test func swiGLUByHand() {
    let gate = TwinTensor(rows: 1, columns: 3, values: [0, log(3), -log(3)])
    let up = TwinTensor(rows: 1, columns: 3, values: [5, 4, 4])
    // σ(log 3) = 3/4, σ(−log 3) = 1/4. Two roundings of exp and log: a few units in the last place.
    expectClose(twinSwiGLU(gate, up).values, [0, 3 * log(3), -log(3)], absolute: 1e-15)
  }

  @Test func swiGLUBackwardIsItsDerivative() {
    var random = TwinRandom(seed: 4)
    let (gate, up, dy) = (random.tensor(1, 7, bound: 3), random.tensor(1, 7, bound: 3), random.tensor(1, 7, bound: 1))
    var (dGate, dUp) = (TwinTensor(zerosLike: gate), TwinTensor(zerosLike: up))
    twinSwiGLUBackward(&dGate, &dUp, from: dy, at: gate, up)
    let wantGate = differences({ inner(dy, twinSwiGLU(like(gate, $0), up)) }, at: gate.values)
    let wantUp = differences({ inner(dy, twinSwiGLU(gate, like(up, $0))) }, at: up.values)
    expectClose(dGate.values, wantGate, relative: 1e-6, absolute: 1e-10)
    expectClose(dUp.values, wantUp, relative: 1e-6, absolute: 1e-10)
  }

  @Test func ropeTurnsPairsByTheirFrequencies() {
    // E = 4, base 16: frequencies 1 and 16^(-1/2) = 1/4, the second divided by 2. Two heads turn alike.
    let config = TwinConfig(
      dim: 8, blockCount: 1, headCount: 2, kvHeadCount: 2, ffnDim: 1, vocabularySize: 1, ropeBase: 16,
      ropeFreqs: [1, 2])
    let x = TwinTensor(rows: 3, columns: 8, values: (0..<3).flatMap { _ in [1.0, 0, 0, 1, 0, 1, 1, 0] })
    let y = twinRoPE(x, config)
    for t in 0..<3 {
      let (fast, slow) = (Double(t), Double(t) / 8)
      expectClose(
        Array(y.row(t)),
        [cos(fast), sin(fast), -sin(slow), cos(slow), -sin(fast), cos(fast), cos(slow), sin(slow)], absolute: 1e-15)
    }
  }

  @Test(arguments: [0, 1, 100, 5000]) func ropeSeesOnlyDistances(shift: Int) {
    var random = TwinRandom(seed: 5)
    let config = Tiny.config
    let (q, k) = (random.tensor(4, config.headDim, bound: 1), random.tensor(4, config.headDim, bound: 1))
    let near = twinRoPE(q, config).timesTransposed(twinRoPE(k, config))
    let far = twinRoPE(q, config, first: shift).timesTransposed(twinRoPE(k, config, first: shift))
    // An angle of 5000 is rounded to 2⁻⁴¹, about 5e-13; six products of such rotations.
    expectClose(far.values, near.values, absolute: 6e-12)
  }

  @Test func ropeInverseTurnsBack() {
    var random = TwinRandom(seed: 6)
    let x = random.tensor(9, 24, bound: 1)
    // A rotation and its inverse: a few roundings of values below 2.
    expectClose(
      twinRoPE(twinRoPE(x, Tiny.config, first: 3), Tiny.config, first: 3, inverse: true).values, x.values,
      absolute: 2e-15)
  }

  @Test func logProbsByHandAndFarFromOverflow() {
    let logits = TwinTensor(rows: 2, columns: 3, values: [0, log(2), log(5), 1000, 1000, -1000])
    let logSum = twinLogSumExp(logits)
    // 0 + log 8 and 1000 + log 2; one unit in the last place of 1000 is 1.1e-13.
    expectClose(twinLogProbs(logits, logSum, targets: [1, 0]), [log(2.0 / 8), -log(2)], absolute: 3e-13)
  }
}

/// Σ a · b: turns an output into a scalar whose gradient is a.
private func inner(_ a: TwinTensor, _ b: TwinTensor) -> Double { zip(a.values, b.values).map(*).reduce(0, +) }

private func like(_ x: TwinTensor, _ values: [Double]) -> TwinTensor {
  TwinTensor(rows: x.rows, columns: x.columns, values: values)
}
