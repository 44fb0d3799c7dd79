/// Linear layers: every table, format and awkward size against scalar; scalar against plain float64.
import Tensors
import Testing

/// (rows, outputs, blocks of K). Few rows have a way of their own, more go in tiles of up to 6 or 16, outputs in panels of
/// 32; K of one block, several, more than 256.
private let sizes = [
  (1, 1, 1), (1, 17, 2), (2, 33, 1), (3, 64, 3), (5, 31, 1), (6, 16, 2), (7, 40, 2), (8, 33, 3), (13, 96, 1),
  (15, 9, 1),
  (16, 17, 2), (17, 33, 1), (31, 5, 3), (33, 16, 2), (47, 7, 1), (64, 35, 1),
]

private func linear(_ k: Kernels, _ x: [Float], rows: Int, _ w: WeightView, _ precision: Precision) -> [Float] {
  let y = guarded(rows, w.rows)
  k.linear(y, Activations(x, rows: rows, columns: w.columns, precision, k), w)
  expectGuard(y, "linear \(w.format)")
  return Array(y.values.prefix(rows * w.rows))
}

@Test(arguments: Kernels.available, WeightFormat.allCases)
func linearEqualsScalar(table: String, format: WeightFormat) {
  let k = kernels(table)
  for (rows, outputs, blocks) in sizes {
    for n in columns(blocks, of: format) {
      for kind in Blocks.Kind.allCases {
        let w = Blocks(format, outputs, n, kind, seed: UInt64(n)).view
        let x = activations(rows, n, odd: kind == .random)
        for precision in Precision.allCases {
          expectSameBits(
            linear(k, x, rows: rows, w, precision), linear(scalar, x, rows: rows, w, precision),
            "\(precision) \(rows)×\(outputs)×\(n) \(kind)")
        }
      }
    }
  }
}

@Test(
  arguments: Kernels.available,
  [WeightFormat.q8_0, .q4_1, .q5_0, .q2_K, .q4_K, .q6_K, .f16, named("IQ2_S"), named("MXFP4")])
func noResultDependsOnThreadsOrNeighbours(table: String, format: WeightFormat) {
  // Large enough that the seven panels are shared between the threads.
  let (rows, outputs, n) = (160, 200, 1536)
  let w = Blocks(format, outputs, n).view
  let x = activations(rows, n, odd: true)
  for precision in Precision.allCases {
    let together = linear(kernels(table), x, rows: rows, w, precision)
    for threads in 2...3 {
      expectSameBits(
        linear(kernels(table, threads: threads), x, rows: rows, w, precision), together, "\(threads) threads")
    }
    for row in [0, 1, 5, 6, 77, 159] {
      expectSameBits(
        linear(kernels(table), Array(x[row * n..<(row + 1) * n]), rows: 1, w, precision),
        Array(together[row * outputs..<(row + 1) * outputs]), "row \(row) alone")
    }
  }
}

/// More than the tables keep sums for at a time.
@Test(arguments: Kernels.available, [WeightFormat.q8_0, .q2_K])
func linearOfManyRowsEqualsScalar(table: String, format: WeightFormat) {
  let (rows, outputs, n) = (530, 33, 512)
  let w = Blocks(format, outputs, n).view
  let x = activations(rows, n, odd: false)  // no NaN, which would hide what else is wrong in its row
  for precision in [Precision.int16, .int8] {
    expectSameBits(
      linear(kernels(table), x, rows: rows, w, precision), linear(scalar, x, rows: rows, w, precision), "\(precision)")
  }
}

@Test(arguments: WeightFormat.allCases)
func scalarLinearIsCloseToFloat64(format: WeightFormat) {
  let (rows, outputs) = (3, 5)
  for n in columns(2, of: format) {
    let blocks = Blocks(format, outputs, n)
    let w = blocks.values.map(Double.init)
    let x = activations(rows, n, odd: false)
    for (precision, steps) in [(Precision.f32, nil), (.int16, 32767), (.int8, 127)] as [(Precision, Double?)]
    where precision == .f32 || !format.isFloat {
      var want: [Double] = []
      var bounds: [Double] = []
      for t in 0..<rows {
        for o in 0..<outputs {
          var (sum, bound, size) = (0.0, 0.0, 0.0)
          for i in 0..<n {
            let value = Double(x[t * n + i])
            sum += value * w[o * n + i]
            size += abs(value)
            guard let steps else { continue }
            // Rounding to ±steps moves an activation by at most half a step; the float factor adds 2 eps of it.
            let amax = x[t * n + i / 32 * 32..<t * n + i / 32 * 32 + 32].map { Double(abs($0)) }.max()!
            bound += amax * (0.5 / steps + 2 * eps) * abs(w[o * n + i])
          }
          want.append(sum)
          // n FMAs (integers: at most one for 16 values and one for a minimum) round the running sum, each at most the
          // sum of all magnitudes; six more roundings make the weight and the scales.
          bounds.append(bound + Double(n + 6) * eps * size * blocks.magnitude)
        }
      }
      expectClose(linear(scalar, x, rows: rows, blocks.view, precision), want, bounds: bounds, "\(precision) \(n)")
    }
  }
}

/// Q8_0 with ones on the diagonal shows what the activations were rounded to.
@Test(arguments: Kernels.available, [(Precision.int16, Float(32767)), (.int8, 127)])
func activationsRoundToNearestEven(table: String, integers: (precision: Precision, largest: Float)) {
  let largest = integers.largest
  let memory = Buffer<UInt8>(count: 32 * 34)
  for o in 0..<32 {
    memory[o * 34 + 1] = 0x3c  // float16 1
    memory[o * 34 + 2 + o] = 1
  }
  let identity = WeightView(
    name: "identity", format: .q8_0, rows: 32, columns: 32, bytes: UnsafeRawBufferPointer(memory.span), owner: memory)
  var random = Seeded(11)
  var x = random.floats(32 * 40, 5)
  for i in 0..<32 { x[i] = Float(i) - 15.5 }  // ties
  x[3] = largest  // the factor is 1
  for i in 32..<64 { x[i] = i == 40 ? 1e-31 : 0 }
  for i in 64..<96 { x[i] = i == 95 ? .infinity : 1 }
  var want: [Float] = []
  for block in 0..<40 {
    let part = x[block * 32..<block * 32 + 32]
    let amax = part.map { abs($0) }.max()!
    for value in part {
      let q = (value * (largest / amax)).rounded(.toNearestOrEven)
      want.append(amax.isInfinite ? .nan : amax < 1e-30 ? 0 : q * (amax / largest))
    }
  }
  let got = linear(kernels(table), x, rows: 40, identity, integers.precision)
  expectSameBits(got.map { $0 + 0 }, want.map { $0 + 0 }, table)  // + 0: the sign of a zero is not the matter here
}
