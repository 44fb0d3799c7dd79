/// Norms, rotary positions, SwiGLU: tables against scalar, scalar against float64, backward against differences.
import Foundation
import Tensors
import Testing

private let widths = [1, 15, 16, 17, 64, 100, 576]

private func twinNorm(_ x: [Double], _ w: [Double], eps: Double) -> [Double] {
  let inverse = 1 / (x.map { $0 * $0 }.reduce(0, +) / Double(x.count) + eps).squareRoot()
  return zip(x, w).map { $0 * inverse * $1 }
}

/// The gradient of sum dy · norm(x), from r = (mean x² + eps)^-½ and dr/dx = -r³ x / n.
private func twinNormBackward(_ dy: [Double], _ x: [Double], _ w: [Double], eps: Double) -> [Double] {
  let n = Double(x.count)
  let r = 1 / (x.map { $0 * $0 }.reduce(0, +) / n + eps).squareRoot()
  let along = zip(zip(dy, w), x).map { $0.0 * $0.1 * $1 }.reduce(0, +)
  return x.indices.map { r * dy[$0] * w[$0] - r * r * r * x[$0] * along / n }
}

/// The derivative of `f` along each coordinate of `x`, by central differences.
func differences(_ x: [Double], step: Double = 1e-5, _ f: ([Double]) -> Double) -> [Double] {
  x.indices.map { i in
    var (up, down) = (x, x)
    up[i] += step
    down[i] -= step
    return (f(up) - f(down)) / (2 * step)
  }
}

private func norm(_ k: Kernels, _ x: Matrix, _ w: Buffer<Float>) -> [Float] {
  let y = guarded(x.rows, x.columns)
  let inverse = Buffer<Float>(count: x.rows)
  k.rmsNorm(y, inverse, x, w, eps: 1e-5, rows: x.rows)
  expectGuard(y, "rmsNorm")
  return y.values.prefix(x.count) + inverse.values
}

private func normBackward(_ k: Kernels, _ dx: [Float], _ dy: Matrix, _ x: Matrix, _ w: Buffer<Float>) -> [Float] {
  let out = guarded(x.rows, x.columns, dx)
  let inverse = Buffer<Float>(count: x.rows)
  k.rmsNorm(Matrix(x.rows, x.columns), inverse, x, w, eps: 1e-5, rows: x.rows)
  k.rmsNormBackward(out, dy, x, w, inverse, rows: x.rows)
  expectGuard(out, "rmsNormBackward")
  return Array(out.values.prefix(x.count))
}

@Test(arguments: Kernels.available)
func rmsNormEqualsScalarAndTwin(table: String) {
  for n in widths {
    let rows = 80  // with 576 columns enough for three threads
    var random = Seeded(UInt64(n))
    let (x, w) = (random.matrix(rows, n, 3), Buffer(random.floats(n)))
    let want = norm(scalar, x, w)
    for threads in 1...3 {
      expectSameBits(norm(kernels(table, threads: threads), x, w), want, "\(n), \(threads) threads")
    }
    let twin = (0..<rows).flatMap {
      twinNorm(x.row($0).map(Double.init), w.values.map(Double.init), eps: Double(Float(1e-5)))
    }
    // n / 16 + 4 roundings of a sum of positive terms, halved by the root; six more for the rest.
    let relative = (Double(n) / 16 + 12) * eps
    expectClose(Array(want.prefix(x.count)), twin, bounds: twin.map { abs($0) * relative }, "\(n)")
  }
}

/// The order of a sum over a row is a promise: 16 stripes, ascending, one FMA a step, then the tree 8, 4, 2, 1.
@Test(arguments: Kernels.available)
func rowSumsKeepTheCanonicalOrder(table: String) {
  for n in widths {
    var random = Seeded(UInt64(n) + 40)
    let x = random.matrix(1, n, 3)
    var stripes = [Float](repeating: 0, count: 16)
    for i in 0..<n { stripes[i % 16].addProduct(x[0, i], x[0, i]) }
    for half in [8, 4, 2, 1] { for i in 0..<half { stripes[i] += stripes[i + half] } }
    let inverse = 1 / (stripes[0] / Float(n) + 1e-5).squareRoot()
    expectSameBits([norm(kernels(table), x, Buffer(random.floats(n))).last!], [inverse], "\(n)")
  }
}

@Test(arguments: Kernels.available)
func rmsNormBackwardEqualsScalarAndTwin(table: String) {
  for n in widths {
    let rows = 80
    var random = Seeded(UInt64(n))
    let (x, dy, w) = (random.matrix(rows, n, 3), random.matrix(rows, n), Buffer(random.floats(n)))
    let dx = random.floats(rows * n)
    let want = normBackward(scalar, dx, dy, x, w)
    for threads in 1...3 {
      expectSameBits(normBackward(kernels(table, threads: threads), dx, dy, x, w), want, "\(n), \(threads) threads")
    }
    let wide = w.values.map(Double.init)
    var twin: [Double] = []
    var bounds: [Double] = []
    for t in 0..<rows {
      let (xs, dys) = (x.row(t).map(Double.init), dy.row(t).map(Double.init))
      let gradient = twinNormBackward(dys, xs, wide, eps: Double(Float(1e-5)))
      let r = 1 / (xs.map { $0 * $0 }.reduce(0, +) / Double(n) + 1e-5).squareRoot()
      let along = zip(zip(dys, wide), xs).map { abs($0.0 * $0.1 * $1) }.reduce(0, +)
      for i in 0..<n {
        twin.append(Double(dx[t * n + i]) + gradient[i])
        // Both terms and the start carry the roundings of the stripes and of some ten operations.
        let size = r * abs(dys[i] * wide[i]) + r * r * r * abs(xs[i]) * along / Double(n) + abs(Double(dx[t * n + i]))
        bounds.append(size * (Double(n) / 4 + 24) * eps)
      }
    }
    expectClose(want, twin, bounds: bounds, "\(n)")
  }
}

@Test func twinNormBackwardMatchesDifferences() {
  var random = Seeded(1)
  let (x, w, dy) = (
    random.floats(9).map(Double.init), random.floats(9).map(Double.init), random.floats(9).map(Double.init)
  )
  let want = differences(x) { zip(twinNorm($0, w, eps: 1e-5), dy).map(*).reduce(0, +) }
  for (got, want) in zip(twinNormBackward(dy, x, w, eps: 1e-5), want) { #expect(abs(got - want) < 1e-8) }
}

// MARK: Rotary positions

private func rotated(
  _ k: Kernels, _ x: Matrix, _ pairs: RotaryPairs, _ angles: Matrix, heads: Int, inverse: Bool
) -> [Float] {
  let y = guarded(x.rows, x.columns, x.values)
  let (cosines, sines) = (angles.copy(), angles.copy())
  for i in 0..<angles.count {
    cosines.pointer[i] = Foundation.cosf(angles.pointer[i])
    sines.pointer[i] = Foundation.sinf(angles.pointer[i])
  }
  k.rope(y, pairs, cosines: cosines, sines: sines, rows: x.rows, heads: heads, inverse: inverse)
  expectGuard(y, "rope")
  return Array(y.values.prefix(x.count))
}

@Test(arguments: Kernels.available, [2, 10, 64, 80].flatMap { [(RotaryPairs.neighbours, $0), (.halves, $0)] })
func ropeEqualsScalarAndTurnsPairs(table: String, of: (pairs: RotaryPairs, headDim: Int)) {
  let (pairs, headDim) = of
  let (rows, heads) = (200, 3)
  var random = Seeded(UInt64(headDim))
  let (x, angles) = (random.matrix(rows, heads * headDim), random.matrix(rows, headDim / 2, 3))
  let want = rotated(scalar, x, pairs, angles, heads: heads, inverse: false)
  for threads in 1...3 {
    let got = rotated(kernels(table, threads: threads), x, pairs, angles, heads: heads, inverse: false)
    expectSameBits(got, want, "\(headDim), \(threads) threads")
  }
  var twin = [Double](repeating: 0, count: x.count)
  for t in 0..<rows {
    for h in 0..<heads {
      for i in 0..<headDim / 2 {
        let start = (t * heads + h) * headDim
        let (one, other) =
          pairs == .halves ? (start + i, start + i + headDim / 2) : (start + 2 * i, start + 2 * i + 1)
        let (a, b) = (Double(x.pointer[one]), Double(x.pointer[other]))
        let angle = Double(angles[t, i])
        twin[one] = a * cos(angle) - b * sin(angle)
        twin[other] = a * sin(angle) + b * cos(angle)
      }
    }
  }
  // Values below 1; cosine and sine are a rounding or two off, the product and the sum one each.
  expectClose(want, twin, bounds: twin.map { _ in 8 * eps }, "\(headDim)")
  let back = rotated(
    kernels(table), Matrix(rows, heads * headDim, want), pairs, angles, heads: heads, inverse: true)
  expectClose(back, x.values.map(Double.init), bounds: back.map { _ in 16 * eps }, "\(headDim) and back")
}

// MARK: SwiGLU and sums

@Test(arguments: Kernels.available)
func swiGLUEqualsScalarAndTwin(table: String) {
  for (rows, n) in [(1, 1), (3, 17), (5, 64), (40, 1536)] {
    var random = Seeded(UInt64(n))
    let (gate, up, dOut) = (random.matrix(rows, n, 9), random.matrix(rows, n), random.matrix(rows, n))
    gate.pointer[0] = n == 17 ? -100 : 100
    var results: [[Float]] = []
    for k in [scalar] + (1...3).map({ kernels(table, threads: $0) }) {
      let (out, dGate, dUp) = (guarded(rows, n), guarded(rows, n), guarded(rows, n))
      k.swiGLU(out, gate, up, rows: rows)
      k.swiGLUBackward(dGate, dUp, dOut, gate, up, rows: rows)
      for guarded in [out, dGate, dUp] { expectGuard(guarded, "swiGLU") }
      results.append([out, dGate, dUp].flatMap { $0.values.prefix(rows * n) })
    }
    for result in results.dropFirst() { expectSameBits(result, results[0], "\(rows)×\(n)") }

    var (out, dGate, dUp) = ([Double](), [Double](), [Double]())
    for i in 0..<rows * n {
      let (g, u, d) = (Double(gate.pointer[i]), Double(up.pointer[i]), Double(dOut.pointer[i]))
      let s = 1 / (1 + exp(-g))
      out.append(g * s * u)
      dUp.append(d * g * s)
      dGate.append(d * u * s * (1 + g * (1 - s)))
    }
    // exp: 2 ulp; then some eight roundings. In dGate the parts 1 and g (1 - s) can cancel: g is below 10 there or the
    // product vanishes. Where exp(-g) overflows the result is 0, which is off by less than 89 exp(-88.7).
    let sizes = (out + dGate + dUp).enumerated().map { i, value in
      (i / (rows * n) == 1 ? abs(Double(up.pointer[i % (rows * n)] * dOut.pointer[i % (rows * n)])) * 11 : abs(value))
    }
    expectClose(results[0], out + dGate + dUp, bounds: sizes.map { $0 * 16 * eps + 3e-37 }, "\(rows)×\(n)")
  }
}

@Test func swiGLUBackwardFormulaMatchesDifferences() {
  for g in [-7.0, -1, 0, 0.3, 4] {
    let s = 1 / (1 + exp(-g))
    let want = differences([g]) { $0[0] / (1 + exp(-$0[0])) }[0]
    #expect(abs(s * (1 + g * (1 - s)) - want) < 1e-8)
  }
}

@Test(arguments: Kernels.available)
func addIsOneFMA(table: String) {
  for (rows, n) in [(1, 1), (3, 17), (70, 1000)] {
    var random = Seeded(UInt64(n))
    let (x, y) = (random.matrix(rows, n), random.floats(rows * n))
    let want = zip(x.values, y).map { $1.addingProduct(0.3, $0) }
    for threads in 1...3 {
      let out = guarded(rows, n, y)
      kernels(table, threads: threads).add(out, x, scale: 0.3, rows: rows)
      expectGuard(out, "add")
      expectSameBits(Array(out.values.prefix(rows * n)), want, "\(rows)×\(n)")
    }
  }
}

@Test(arguments: Kernels.available)
func sumIsOneAddition(table: String) {
  for (rows, n) in [(1, 1), (3, 17), (70, 1000)] {
    var random = Seeded(UInt64(n))
    let (a, b) = (random.matrix(rows, n), random.matrix(rows, n))
    let want = zip(a.values, b.values).map { $0 + $1 }
    for threads in 1...3 {
      let out = guarded(rows, n)
      kernels(table, threads: threads).sum(out, a, b, rows: rows)
      expectGuard(out, "sum")
      expectSameBits(Array(out.values.prefix(rows * n)), want, "\(rows)×\(n)")
    }
  }
}
