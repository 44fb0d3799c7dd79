/// Linear layers: every table, format and awkward size against scalar; scalar against plain float64.
import Tensors
import Testing

/// (rows, outputs, blocks of K). Few rows have a way of their own, more go in tiles of up to 6, outputs in panels of 32; K
/// of one block, several, more than 256.
private let sizes = [
  (1, 1, 1), (1, 17, 2), (2, 33, 1), (3, 64, 3), (5, 31, 1), (6, 16, 2), (7, 40, 2), (13, 96, 1), (64, 35, 1),
]

private func columns(_ blocks: Int, of format: WeightFormat) -> [Int] {
  switch format.valuesPerBlock {
  case 1: [7 * blocks, 64 * blocks, 259]
  case 32: [32 * blocks, 256 + 32 * blocks, 576]
  default: [256 * blocks]
  }
}

/// Floats with, now and then, a block of the largest integers and, if `odd`, one that is all zeros, tiny, infinite or NaN.
private func activations(_ rows: Int, _ columns: Int, odd: Bool) -> [Float] {
  var random = Seeded(UInt64(rows * 1000 + columns))
  var x = random.floats(rows * columns, 3)
  for start in stride(from: 32, to: x.count - 31, by: 32 * 11) {
    for i in start..<start + 32 { x[i] = 3 }
  }
  guard odd else { return x }
  for (block, start) in stride(from: 0, to: x.count - 31, by: 32).enumerated() {
    switch block % 11 {
    case 3: for i in start..<start + 32 { x[i] = 0 }
    case 5: for i in start..<start + 32 { x[i] *= 1e-31 }
    case 7: for i in start..<start + 32 { x[i] *= 1e38 }
    case 9 where block % 2 == 0: x[start + 31] = block % 4 == 0 ? .infinity : .nan
    default: break
    }
  }
  return x
}

private func linear(_ k: Kernels, _ x: [Float], rows: Int, _ w: WeightView, _ precision: Precision) -> [Float] {
  let y = guarded(rows, w.rows)
  k.linear(y, Activations(x, rows: rows, columns: w.columns, precision, k), w)
  expectGuard(y, "linear \(w.format)")
  return Array(y.values.prefix(rows * w.rows))
}

private func backward(_ k: Kernels, _ dx: [Float], _ dy: [Float], rows: Int, _ w: WeightView) -> [Float] {
  let out = guarded(rows, w.columns, dx)
  k.linearBackward(out, Matrix(rows, w.rows, dy), w, rows: rows)
  expectGuard(out, "backward \(w.format)")
  return Array(out.values.prefix(rows * w.columns))
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

@Test(arguments: Kernels.available, WeightFormat.allCases)
func linearBackwardEqualsScalar(table: String, format: WeightFormat) {
  let k = kernels(table)
  for (rows, outputs, blocks) in sizes {
    for n in columns(blocks, of: format) {
      var random = Seeded(9)
      let (dx, dy) = (random.floats(rows * n), random.floats(rows * outputs))
      for kind in [Blocks.Kind.random, .nanScale] {
        let w = Blocks(format, outputs, n, kind, seed: UInt64(n)).view
        expectSameBits(
          backward(k, dx, dy, rows: rows, w), backward(scalar, dx, dy, rows: rows, w),
          "\(rows)×\(outputs)×\(n) \(kind)")
      }
    }
  }
}

@Test(arguments: Kernels.available, [WeightFormat.q8_0, .q4_1, .q5_0, .q2_K, .q4_K, .q6_K, .f16])
func noResultDependsOnThreadsOrNeighbours(table: String, format: WeightFormat) {
  // Large enough that the seven panels are shared between the threads.
  let (rows, outputs, n) = (160, 200, 1536)
  let w = Blocks(format, outputs, n).view
  let x = activations(rows, n, odd: true)
  var random = Seeded(4)
  let (dx, dy) = (random.floats(rows * n), random.floats(rows * outputs))
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
  // Six slices of columns for the threads, and two, which are too few, so that rows are parted as well.
  for width in [n, 512] {
    let w = Blocks(format, outputs, width).view
    let dx = Array(dx.prefix(rows * width))
    let together = backward(kernels(table), dx, dy, rows: rows, w)
    for threads in 2...3 {
      expectSameBits(backward(kernels(table, threads: threads), dx, dy, rows: rows, w), together, "\(threads) threads")
    }
    let alone = backward(kernels(table), Array(dx.suffix(width)), Array(dy.suffix(outputs)), rows: 1, w)
    expectSameBits(alone, Array(together.suffix(width)), "last row alone")
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

@Test(arguments: WeightFormat.allCases)
func scalarBackwardIsCloseToFloat64(format: WeightFormat) {
  let (rows, outputs, n) = (3, 37, format.valuesPerBlock == 1 ? 70 : 512)
  let blocks = Blocks(format, outputs, n)
  let w = blocks.values.map(Double.init)
  var random = Seeded(3)
  let (dx, dy) = (random.floats(rows * n), random.floats(rows * outputs))
  var want = dx.map(Double.init)
  var bounds = dx.map { Double(abs($0)) }
  for t in 0..<rows {
    for o in 0..<outputs {
      for i in 0..<n {
        want[t * n + i] += Double(dy[t * outputs + o]) * w[o * n + i]
        bounds[t * n + i] += abs(Double(dy[t * outputs + o]) * w[o * n + i])
      }
    }
  }
  // One rounding of a partial sum for each output.
  expectClose(
    backward(scalar, dx, dy, rows: rows, blocks.view), want, bounds: bounds.map { $0 * Double(outputs + 1) * eps },
    "\(format)")
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
