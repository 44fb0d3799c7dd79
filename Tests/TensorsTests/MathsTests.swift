/// exp, log and what is made of them over a vocabulary.
import Foundation
import Tensors
import Testing

/// Finite floats of every exponent, both signs, and the edges.
private func manyFloats() -> [Float] {
  var random = Seeded(77)
  var values: [Float] = (0..<400_000).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)) }
  values = values.filter { $0.isFinite } + random.floats(400_000, 110) + random.floats(100_000, 1)
  return values + [0, -0.0, 1, -1, 88.72283, 88.72284, -87.33654, -87.4, -103.27892, -103.97, -104.1, 89, 1e30]
}

/// Distance in units of the last place of the exact value (below the normal range: of the smallest step).
private func ulps(_ got: Float, _ exact: Double) -> Double {
  if exact.isInfinite || exact > Double(Float.greatestFiniteMagnitude) {
    return got == .infinity || got == .greatestFiniteMagnitude || Double(got) == exact ? 0 : .infinity
  }
  return abs(Double(got) - exact) / Double(max(Float(exact).ulp, .leastNonzeroMagnitude))
}

private func apply(_ k: Kernels, _ x: [Float], _ f: (Kernels) -> (Buffer<Float>, Buffer<Float>) -> Void) -> [Float] {
  let out = Buffer<Float>(count: x.count)
  f(k)(out, Buffer(x))
  return out.values
}

@Test func expIsWithinTwoUlps() {
  let x = manyFloats()
  let got = apply(scalar, x) { $0.exp }
  let worst = zip(x, got).max { ulps($0.1, exp(Double($0.0))) < ulps($1.1, exp(Double($1.0))) }!
  #expect(ulps(worst.1, exp(Double(worst.0))) <= 2, "exp(\(worst.0)) = \(worst.1)")
}

@Test func logIsWithinTwoUlps() {
  let x = manyFloats().map { abs($0) }.filter { $0 > 0 }
  let got = apply(scalar, x) { $0.log }
  let worst = zip(x, got).max { ulps($0.1, log(Double($0.0))) < ulps($1.1, log(Double($1.0))) }!
  #expect(ulps(worst.1, log(Double(worst.0))) <= 2, "log(\(worst.0)) = \(worst.1)")
}

@Test(arguments: Kernels.available)
func expAndLogEqualScalarAndKnowTheirEdges(table: String) {
  let x = manyFloats() + [.infinity, -.infinity, .nan, .leastNonzeroMagnitude]
  for threads in 1...3 {
    let k = kernels(table, threads: threads)
    expectSameBits(apply(k, x) { $0.exp }, apply(scalar, x) { $0.exp }, "exp")
    expectSameBits(apply(k, x) { $0.log }, apply(scalar, x) { $0.log }, "log")
  }
  let k = kernels(table)
  expectSameBits(
    apply(k, [-.infinity, 0, -0.0, .nan, .infinity, 200, -200]) { $0.exp }, [0, 1, 1, .nan, .infinity, .infinity, 0],
    "exp")
  expectSameBits(
    apply(k, [0, -0.0, 1, -1, .nan, .infinity, -.infinity]) { $0.log },
    [-.infinity, -.infinity, 0, .nan, .nan, .infinity, .nan], "log")
}

// MARK: Vocabulary

private func logSumExp(_ k: Kernels, _ z: Matrix) -> [Float] {
  let (maximum, sum, out) = (Buffer<Float>(count: z.rows), Buffer<Float>(count: z.rows), Buffer<Float>(count: z.rows))
  maximum.fill(-.infinity)
  for first in stride(from: 0, to: z.columns, by: Kernels.vocabularyTile) {
    let count = min(Kernels.vocabularyTile, z.columns - first)
    k.logSumExpTile(maximum, sum, z.pointer + first, stride: z.columns, rows: z.rows, count: count)
  }
  k.logSumExpFinish(out, maximum, sum, rows: z.rows)
  return out.values + maximum.values + sum.values
}

@Test(arguments: Kernels.available)
func logSumExpEqualsScalarAndTwin(table: String) {
  for n in [1, 7, 1024, 1031, 3000] {
    var random = Seeded(UInt64(n))
    let z = random.matrix(60, n, 20)
    let want = logSumExp(scalar, z)
    for threads in 1...3 { expectSameBits(logSumExp(kernels(table, threads: threads), z), want, "\(n), \(threads)") }
    for t in 0..<z.rows {
      let row = z.row(t).map(Double.init)
      let top = row.max()!
      let exact = top + log(row.map { exp($0 - top) }.reduce(0, +))
      // The sum of positive terms is off by its roundings and by exp (2 ulp and a rounding of z - m, up to 40 eps),
      // which log turns into an absolute error; then two roundings of the result.
      let bound = (Double(min(n, 1024)) / 16 + 4 + 3 * 3 + 44 + 2) * eps + 4 * eps * abs(exact)
      #expect(abs(Double(want[t]) - exact) <= bound, "row \(t) of \(n): \(want[t]), \(exact)")
    }
  }
}

private func logProbGradient(
  _ k: Kernels, _ z: Matrix, _ logSum: Buffer<Float>, _ weight: Buffer<Float>, _ target: [UInt32]
)
  -> [Float]
{
  let out = guarded(z.rows, z.columns, z.values)
  k.logProbBackwardTile(
    out, logSum: logSum, weight: weight, target: Buffer(target), first: 1000, rows: z.rows, count: z.columns)
  expectGuard(out, "logProbBackwardTile")
  return Array(out.values.prefix(z.count))
}

@Test(arguments: Kernels.available)
func logProbBackwardEqualsScalarAndTwin(table: String) {
  for n in [1, 17, 1024] {
    var random = Seeded(UInt64(n))
    let rows = 60
    let z = random.matrix(rows, n, 5)
    let logSum = Buffer(random.floats(rows).map { $0 + 9 })
    let weight = Buffer(random.floats(rows))
    // Targets in this tile, before it and after it.
    let target = (0..<rows).map { t in t % 3 == 0 ? UInt32(1000 + t % n) : t % 3 == 1 ? UInt32(t) : UInt32(1000 + n + t)
    }
    let want = logProbGradient(scalar, z, logSum, weight, target)
    for threads in 1...3 {
      expectSameBits(
        logProbGradient(kernels(table, threads: threads), z, logSum, weight, target), want, "\(n), \(threads)")
    }
    var twin: [Double] = []
    for t in 0..<rows {
      for v in 0..<n {
        let p = exp(Double(z[t, v]) - Double(logSum[t]))
        twin.append(Double(weight[t]) * ((1000 + v == Int(target[t]) ? 1 : 0) - p))
      }
    }
    // |z - log_sum| is below 16, so its rounding moves p by 8 eps; exp 4 eps, the rest two; all below 1.
    expectClose(want, twin, bounds: twin.map { _ in 16 * eps }, "\(n)")
  }
}
