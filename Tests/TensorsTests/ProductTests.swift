/// Products between float matrices, and the transpose.
import COpenBLAS
import Tensors
import Testing

private let sizes = [
  (1, 1, 1), (1, 16, 300), (7, 17, 5), (13, 16, 64), (12, 33, 9), (5, 64, 1), (25, 8, 40), (2, 47, 576),
]

private func gemm(_ k: Kernels, _ out: [Float], _ a: Matrix, _ b: Matrix, accumulate: Bool) -> [Float] {
  let y = guarded(a.rows, b.columns, out)
  k.gemm(y, a, b, rows: 0..<a.rows, accumulate: accumulate)
  expectGuard(y, "gemm")
  return Array(y.values.prefix(a.rows * b.columns))
}

@Test(arguments: Kernels.available, [false, true])
func gemmEqualsScalarAndIsCloseToFloat64(table: String, accumulate: Bool) {
  for (m, n, depth) in sizes {
    var random = Seeded(UInt64(m * n))
    let (a, b, out) = (random.matrix(m, depth), random.matrix(depth, n), random.floats(m * n))
    let want = gemm(scalar, out, a, b, accumulate: accumulate)
    expectSameBits(gemm(kernels(table), out, a, b, accumulate: accumulate), want, "\(m)×\(n)×\(depth)")
    var twin = accumulate ? out.map(Double.init) : out.map { _ in 0 }
    var size = twin.map(abs)
    for t in 0..<m {
      for j in 0..<n {
        for i in 0..<depth {
          twin[t * n + j] += Double(a[t, i]) * Double(b[i, j])
          size[t * n + j] += abs(Double(a[t, i]) * Double(b[i, j]))
        }
      }
    }
    expectClose(want, twin, bounds: size.map { $0 * Double(depth + 1) * eps }, "\(m)×\(n)×\(depth)")
  }
}

/// One accumulator an element, K ascending, one FMA a step.
@Test(arguments: Kernels.available)
func gemmKeepsTheCanonicalOrder(table: String) {
  var random = Seeded(12)
  let (m, n, depth) = (7, 50, 600)
  let (a, b) = (random.matrix(m, depth), random.matrix(depth, n))
  var want = [Float](repeating: 0, count: m * n)
  for t in 0..<m { for i in 0..<depth { for j in 0..<n { want[t * n + j].addProduct(a[t, i], b[i, j]) } } }
  expectSameBits(gemm(kernels(table), want, a, b, accumulate: false), want, table)
}

@Test(arguments: Kernels.available)
func gemmDoesNotDependOnThreadsOrNeighbours(table: String) {
  for (m, n, depth) in [(200, 16, 2048), (200, 1024, 16), (3, 2048, 600)] {
    var random = Seeded(5)
    let (a, b, out) = (random.matrix(m, depth), random.matrix(depth, n), random.floats(m * n))
    let one = gemm(kernels(table), out, a, b, accumulate: true)
    for threads in 2...3 {
      expectSameBits(gemm(kernels(table, threads: threads), out, a, b, accumulate: true), one, "\(threads) threads")
    }
    let last = Matrix(1, depth, Array(a.row(m - 1)))
    expectSameBits(
      gemm(kernels(table), Array(out.suffix(n)), last, b, accumulate: true), Array(one.suffix(n)), "row alone")
  }
}

@Test(arguments: Kernels.available)
func outerEqualsScalarOnAnyThreadsAndIsCloseToFloat64(table: String) {
  for (m, n, tokens) in [
    (1, 1, 1), (16, 700, 33), (700, 16, 33), (5, 3, 100), (47, 33, 7), (8, 32, 9), (13, 130, 5), (40, 17, 0),
    (9, 600, 200),
  ] {
    var random = Seeded(6)
    let scale: Float = 0.3
    let (a, b, start) = (random.matrix(tokens + 1, m), random.matrix(tokens + 1, n), random.floats(m * n))
    func outer(_ k: Kernels) -> [Float] {
      let out = Matrix(m, n, start)
      k.outer(out, a, b, tokens: tokens, scale: scale)
      return out.values
    }
    let specified = outer(scalar)
    for threads in 1...3 {
      expectSameBits(outer(kernels(table, threads: threads)), specified, "\(m)×\(n)×\(tokens), \(threads) threads")
    }
    var want = start.map(Double.init)
    var size = want.map(abs)
    for t in 0..<tokens {
      for i in 0..<m {
        for j in 0..<n {
          want[i * n + j] += Double(scale) * Double(a[t, i]) * Double(b[t, j])
          size[i * n + j] += Double(scale) * abs(Double(a[t, i]) * Double(b[t, j]))
        }
      }
    }
    // A rounding for each term, and one for the scale.
    expectClose(specified, want, bounds: size.map { $0 * Double(tokens + 2) * eps }, "\(m)×\(n)×\(tokens)")
  }
}

/// The sizes of a layer with an adapter, judged by OpenBLAS in float64.
@Test func layersAreCloseToOpenBLASInFloat64() {
  let (tokens, inputs, rank) = (130, 1536, 16)
  var random = Seeded(8)
  let (x, a, low) = (random.matrix(tokens, inputs), random.matrix(inputs, rank), random.matrix(tokens, rank))
  let k = Kernels(threads: 2)!
  let (product, gradient) = (Matrix(tokens, rank), Matrix(rank, inputs))
  k.gemm(product, x, a, rows: 0..<tokens, accumulate: false)
  k.outer(gradient, low, x, tokens: tokens, scale: 1)

  func judge(_ got: Matrix, _ left: Matrix, turned: Bool, _ right: Matrix, depth: Int) {
    func multiply(_ value: (Float) -> Double) -> [Double] {
      var out = [Double](repeating: 0, count: got.count)
      cblas_dgemm(
        CblasRowMajor, turned ? CblasTrans : CblasNoTrans, CblasNoTrans, Int32(got.rows), Int32(got.columns),
        Int32(depth), 1, left.values.map(value), Int32(left.columns), right.values.map(value), Int32(right.columns), 0,
        &out, Int32(got.columns))
      return out
    }
    // A rounding for each term, of at most the sum of all magnitudes.
    let size = multiply { Double(abs($0)) }
    expectClose(
      got.values, multiply(Double.init), bounds: size.map { $0 * Double(depth) * eps }, "[\(got.rows), \(got.columns)]")
  }
  judge(product, x, turned: false, a, depth: inputs)
  judge(gradient, low, turned: true, x, depth: tokens)
}

@Test func transposeExchangesRowsAndColumns() {
  for (m, n) in [(1, 1), (3, 40), (17, 16), (33, 65)] {
    var random = Seeded(2)
    let a = random.matrix(m, n)
    let b = a.transposed()
    #expect(b.rows == n && b.columns == m)
    for i in 0..<m { for j in 0..<n { #expect(b[j, i] == a[i, j]) } }
  }
}
