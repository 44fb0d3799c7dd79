/// Quantising rows: what a format can hold comes back exactly, everything else within the bounds of its steps.
import Tensors
import Testing

private let formats = WeightFormat.allCases.filter(\.canQuantize)

/// The integers of a format: values of a group, the least and greatest integer, and the largest integer of a scale.
private struct Integers {
  let group: Int
  let low: Int
  let high: Int
  let most: Int
  let hasMinimum: Bool

  init(_ format: WeightFormat) {
    (group, low, high, most, hasMinimum) =
      switch format {
      case .q4_0: (32, -8, 7, 1, false)
      case .q8_0: (32, -127, 127, 1, false)
      case .q2_K: (16, 0, 3, 15, true)
      case .q3_K: (16, -4, 3, 31, false)
      case .q4_K: (32, 0, 15, 63, true)
      case .q5_K: (32, 0, 31, 63, true)
      case .q6_K: (16, -32, 31, 127, false)
      default: preconditionFailure("\(format) needs its integers")
      }
  }
}

private func thereAndBack(_ x: [Float], _ format: WeightFormat) -> [Float] {
  let blocks = quantized(x, format)
  let out = guarded(1, x.count)
  withExtendedLifetime(blocks) {
    dequantize(out.pointer, from: blocks.pointer, format: format, count: x.count)
  }
  return Array(out.row(0))
}

/// The blocks, behind which a byte must stay as it was.
private func quantized(_ x: [Float], _ format: WeightFormat) -> Buffer<UInt8> {
  let bytes = format.bytes(for: x.count)!
  let blocks = Buffer<UInt8>([UInt8](repeating: 0xaa, count: bytes + 1))
  x.withUnsafeBufferPointer { quantize(blocks.pointer, from: $0.baseAddress!, format: format, count: x.count) }
  #expect(blocks.values.last == 0xaa, "\(format) wrote behind its blocks")
  return blocks
}

@Test func theseFormatsAreWritten() {
  #expect(formats == [.q4_0, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K])
}

/// Every group has its least and its greatest integer, and scales and minima are the largest integers times a power of two.
@Test(arguments: formats)
func whatAFormatHoldsComesBack(format: WeightFormat) {
  let integers = Integers(format)
  let step = Float(integers.most) / 16
  let minimum = integers.hasMinimum ? Float(integers.most) / 32 : 0
  var random = Seeded(8)
  let x = (0..<1024).map { i in
    let q =
      switch i % integers.group {
      case 3: integers.low
      case 7: integers.high
      default: Int.random(in: integers.low...integers.high, using: &random)
      }
    return step * Float(q) - minimum
  }
  expectSameBits(thereAndBack(x, format).map { $0 + 0 }, x.map { $0 + 0 }, "\(format)")
}

@Test(arguments: formats)
func everyValueIsWithinItsSteps(format: WeightFormat) {
  let integers = Integers(format)
  var random = Seeded(9)
  let count = 256 * 40
  let inputs: [(String, [Float])] = [
    ("around zero", random.floats(count)), ("above zero", (0..<count).map { _ in 1 + abs(random.float()) }),
    ("zeros", [Float](repeating: 0, count: count)),
    ("of all sizes", (0..<count / 16).flatMap { _ in random.floats(16, Float.random(in: 1e-3...1e3, using: &random)) }),
  ]
  for (name, x) in inputs {
    let bounds = bounds(of: x, integers, blocks: format.valuesPerBlock)
    expectClose(thereAndBack(x, format), x.map(Double.init), bounds: bounds, "\(format) \(name)")
  }
}

/// A value is at most half a step from the nearest integer, or, at the end that the scale does not reach, a whole one. The
/// scale is wrong by at most half its own step d, which counts with every step up to the farthest integer, and a minimum by
/// half of its. Halves and floats round by 2^-10 of all that.
private func bounds(of x: [Float], _ integers: Integers, blocks: Int) -> [Double] {
  let groups = stride(from: 0, to: x.count, by: integers.group).map { first in
    let values = x[first..<first + integers.group].map(Double.init)
    let (low, top) = (min(values.min()!, 0), max(values.max()!, 0))
    let size =
      integers.hasMinimum
      ? (top - low) / Double(integers.high) : max(-low, top) / Double(max(-integers.low, integers.high))
    return (step: size, minimum: integers.hasMinimum ? -low : 0)
  }
  let perBlock = max(1, blocks / integers.group)
  return x.indices.map { i in
    let group = i / integers.group
    let block = groups[group / perBlock * perBlock..<(group / perBlock + 1) * perBlock]
    let d = integers.most == 1 ? 0 : block.map(\.step).max()! / Double(integers.most)
    let dmin = block.map(\.minimum).max()! / Double(integers.most)
    let step = groups[group].step + d / 2
    let nearest = integers.hasMinimum || -integers.low == integers.high ? step / 2 : step
    let farthest = Double(max(-integers.low, integers.high))
    return nearest + farthest * d / 2 + dmin / 2 + 0x1p-10 * (farthest * step + dmin * Double(integers.most))
  }
}

@Test(arguments: formats)
func blocksDoNotKnowTheirNeighbours(format: WeightFormat) {
  var random = Seeded(10)
  let x = random.floats(1024)
  let whole = quantized(x, format).values.dropLast()
  let parts = stride(from: 0, to: x.count, by: format.valuesPerBlock).flatMap {
    quantized(Array(x[$0..<$0 + format.valuesPerBlock]), format).values.dropLast()
  }
  #expect(Array(whole) == parts)
}
