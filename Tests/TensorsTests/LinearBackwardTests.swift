/// Gradients through frozen weights: every table, format and awkward size against scalar; scalar against plain float64.
import Tensors
import Testing

/// (rows, outputs, blocks of columns). Rows go in tiles of up to 6; outputs in groups of 32, 256 at a time.
private let sizes = [
  (1, 1, 1), (1, 17, 2), (2, 33, 1), (3, 64, 3), (5, 31, 1), (6, 16, 2), (7, 40, 2), (13, 96, 1), (8, 300, 1),
]

/// dx + dy W. Behind the outputs of each row of dy there is NaN, which nobody may look at.
private func backward(
  _ k: Kernels, _ dx: [Float], _ dy: [Float], rows: Int, _ w: WeightView, _ precision: BackwardPrecision
) -> [Float] {
  let out = guarded(rows, w.columns, dx)
  let gradient = Matrix(rows, w.rows + 5)
  gradient.buffer.fill(.nan)
  for t in 0..<rows { for o in 0..<w.rows { gradient[t, o] = dy[t * w.rows + o] } }
  let room = QuantizedRows(values: rows * QuantizedRows.room(columns: w.rows))
  k.linearBackward(out, gradient, w, rows: rows, integers: precision == .int16 ? room : nil)
  expectGuard(out, "backward \(w.format)")
  return Array(out.values.prefix(rows * w.columns))
}

@Test(arguments: Kernels.available, WeightFormat.allCases)
func linearBackwardEqualsScalar(table: String, format: WeightFormat) {
  let k = kernels(table)
  for (rows, outputs, blocks) in sizes {
    for n in columns(blocks, of: format) {
      var random = Seeded(9)
      let dx = random.floats(rows * n)
      for kind in Blocks.Kind.allCases {
        let w = Blocks(format, outputs, n, kind, seed: UInt64(n)).view
        let dy = activations(rows, outputs, odd: kind == .random)
        for precision in BackwardPrecision.allCases {
          expectSameBits(
            backward(k, dx, dy, rows: rows, w, precision), backward(scalar, dx, dy, rows: rows, w, precision),
            "\(precision) \(rows)×\(outputs)×\(n) \(kind)")
        }
      }
    }
  }
}

@Test(arguments: Kernels.available, BackwardPrecision.allCases)
func noGradientDependsOnThreadsOrNeighbours(table: String, precision: BackwardPrecision) {
  let (rows, outputs) = (160, 200)
  var random = Seeded(4)
  let dy = random.floats(rows * outputs)
  for format in [WeightFormat.q8_0, .q4_K, .f16] {
    // Many slices of columns for the threads, and few, so that rows are parted as well.
    for width in [1536, 512, 256] {
      let w = Blocks(format, outputs, width).view
      let dx = random.floats(rows * width)
      let together = backward(kernels(table), dx, dy, rows: rows, w, precision)
      for threads in 2...5 {
        expectSameBits(
          backward(kernels(table, threads: threads), dx, dy, rows: rows, w, precision), together,
          "\(format), \(width) columns, \(threads) threads")
      }
      let alone = backward(kernels(table), Array(dx.suffix(width)), Array(dy.suffix(outputs)), rows: 1, w, precision)
      expectSameBits(alone, Array(together.suffix(width)), "last row alone")
    }
  }
}

@Test(arguments: WeightFormat.allCases, BackwardPrecision.allCases)
func scalarBackwardIsCloseToFloat64(format: WeightFormat, precision: BackwardPrecision) {
  let (rows, outputs, n) = (3, 37, format.valuesPerBlock == 1 ? 70 : 512)
  let blocks = Blocks(format, outputs, n)
  let w = blocks.values.map(Double.init)
  var random = Seeded(3)
  let (dx, dy) = (random.floats(rows * n), random.floats(rows * outputs))
  /// What rounding to ±8191 moves a value whose group's largest is `amax`: half a step, and 2 eps for the float factor.
  func moved(_ amax: Double) -> Double { precision == .int16 ? amax * (0.5 / 8191 + 2 * eps) : 0 }
  var want = dx.map(Double.init)
  var bounds = [Double](repeating: 0, count: want.count)
  for t in 0..<rows {
    for i in 0..<n {
      var size = abs(want[t * n + i])
      for group in stride(from: 0, to: outputs, by: 32) {
        let pairs = (group..<min(group + 32, outputs)).map { (Double(dy[t * outputs + $0]), w[$0 * n + i]) }
        let ofDY = moved(pairs.map { abs($0.0) }.max()!)
        let ofW = moved(pairs.map { abs($0.1) }.max()!)
        for (a, b) in pairs {
          want[t * n + i] += a * b
          size += (abs(a) + ofDY) * (abs(b) + ofW)
          bounds[t * n + i] += abs(a) * ofW + abs(b) * ofDY + ofDY * ofW
        }
      }
      // A rounding of a partial sum for each output (integers: for each group), and five for the weight, the integers' sum
      // and the scales.
      bounds[t * n + i] += Double(outputs + 6) * eps * size
    }
  }
  expectClose(backward(scalar, dx, dy, rows: rows, blocks.view, precision), want, bounds: bounds, "\(format)")
}

/// 32 products of ±8191 are the most that 32 bits hold. Blocks of equal values are multiplied without an error, but for
/// the rounding of scales.
@Test(arguments: Kernels.available, [(Float(1), Float(1)), (1, -1), (-3, -0.25)])
func theLargestIntegersFit(table: String, values: (dy: Float, w: Float)) {
  let (rows, outputs, n) = (7, 96, 37)
  let memory = Buffer<Float>(count: outputs * n)
  memory.fill(values.w)
  let w = WeightView(
    name: "equal", format: .f32, rows: outputs, columns: n, bytes: UnsafeRawBufferPointer(memory.span), owner: memory)
  let zeros = [Float](repeating: 0, count: rows * n)
  let dy = [Float](repeating: values.dy, count: rows * outputs)
  let want = Double(outputs) * Double(values.dy * values.w)
  // For each of three groups: two scales, their product, the sum as a float, the FMA.
  expectClose(
    backward(kernels(table), zeros, dy, rows: rows, w, .int16), zeros.map { _ in want },
    bounds: zeros.map { _ in 3 * 5 * eps * abs(want) }, table)
}
