/// Random inputs, guarded outputs and comparisons for the kernel tests.
import Foundation
import Tensors
import Testing

/// SplitMix64: the same numbers on every machine.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func float(_ bound: Float = 1) -> Float { Float.random(in: -bound...bound, using: &self) }
  mutating func floats(_ count: Int, _ bound: Float = 1) -> [Float] { (0..<count).map { _ in float(bound) } }
  mutating func matrix(_ rows: Int, _ columns: Int, _ bound: Float = 1) -> Matrix {
    Matrix(rows, columns, floats(rows * columns, bound))
  }
}

let scalar = Kernels(table: "scalar", threads: 1)!

func kernels(_ table: String, threads: Int = 1) -> Kernels { Kernels(table: table, threads: threads)! }

/// Widths to test a format with: `blocks` blocks, and some that are more than a chunk, or no whole blocks of 32.
func columns(_ blocks: Int, of format: WeightFormat) -> [Int] {
  switch format.valuesPerBlock {
  case 1: [7 * blocks, 64 * blocks, 259]
  case 256: [256 * blocks]
  case let block: [block * blocks, 256 + block * blocks, 512 + block]
  }
}

/// Floats with, now and then, a block of the largest integers and, if `odd`, one that is all zeros, tiny, infinite or NaN.
func activations(_ rows: Int, _ columns: Int, odd: Bool) -> [Float] {
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

func named(_ format: String) -> WeightFormat { WeightFormat(name: format)! }

/// A value no kernel computes; it stands behind outputs and must still stand there afterwards.
let guardValue: Float = -98765.4321

/// `[rows + 1, columns]` whose last row is a guard.
func guarded(_ rows: Int, _ columns: Int, _ values: [Float]? = nil) -> Matrix {
  let matrix = Matrix(rows + 1, columns)
  matrix.buffer.fill(guardValue)
  for (i, value) in (values ?? []).enumerated() { matrix.pointer[i] = value }
  return matrix
}

func expectGuard(_ matrix: Matrix, _ what: String, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(
    matrix.row(matrix.rows - 1).allSatisfy { $0 == guardValue }, "\(what) wrote behind its output",
    sourceLocation: sourceLocation)
}

/// Equal bits; any NaN equals any other.
func expectSameBits(
  _ got: [Float], _ want: [Float], _ what: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(got.count == want.count, sourceLocation: sourceLocation)
  let different = zip(got, want).enumerated().first { _, pair in
    pair.0.bitPattern != pair.1.bitPattern && !(pair.0.isNaN && pair.1.isNaN)
  }
  #expect(
    different == nil, "\(what): at \(different!.offset) \(different!.element.0) is not \(different!.element.1)",
    sourceLocation: sourceLocation)
}

/// Each value within its own bound; the worst is reported. Anything that is not finite is too far away.
func expectClose(
  _ got: [Float], _ want: [Double], bounds: [Double], _ what: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(got.count == want.count && want.count == bounds.count, sourceLocation: sourceLocation)
  let far = got.indices.first { !(abs(Double(got[$0]) - want[$0]) <= bounds[$0]) }
  #expect(
    far == nil,
    "\(what): at \(far!) \(got[far!]) is \(Double(got[far!]) - want[far!]) from \(want[far!]), allowed \(bounds[far!])",
    sourceLocation: sourceLocation)
}

/// Half the distance between two floats near 1.
let eps = 0x1p-24

/// Bytes that end where a page ends that nobody may read; 0xff (NaN as any float) before them.
private final class FencedBytes {
  let bytes: UnsafeMutableRawBufferPointer
  private let map: UnsafeMutableRawBufferPointer

  init(count: Int) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let size = (count + 256 + page - 1) / page * page
    let start = mmap(nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)!
    precondition(start != MAP_FAILED && mprotect(start + size, page, PROT_NONE) == 0, "no memory for a test")
    map = UnsafeMutableRawBufferPointer(start: start, count: size + page)
    memset(start, 0xff, size)
    bytes = UnsafeMutableRawBufferPointer(start: start + size - count, count: count)
  }

  deinit { munmap(map.baseAddress, map.count) }
}

/// Weights of any format in fenced memory.
struct Blocks {
  /// What some blocks are. `highest` and `lowest` have ordinary scales and every other byte 255 or 128: the largest
  /// integers, and -128 where they have a sign.
  enum Kind: CaseIterable { case random, allOnes, highest, lowest, zeroScale, denormalScale, infiniteScale, nanScale }

  let view: WeightView

  init(_ format: WeightFormat, _ rows: Int, _ columns: Int, _ kind: Kind = .random, seed: UInt64 = 1) {
    var random = Seeded(seed)
    let count = rows * format.bytes(for: columns)!
    let memory = FencedBytes(count: count)
    let bytes = memory.bytes
    for block in 0..<count / format.bytesPerBlock {
      let at = block * format.bytesPerBlock
      // The last block of every three is extreme, so that ordinary values are its neighbours.
      let extreme = kind != .random && (format.isFloat ? block % 97 == 5 : block % 3 == 2)
      if kind == .allOnes && extreme {
        for i in 0..<format.bytesPerBlock { bytes[at + i] = 0xff }
        continue
      }
      if format == .f32 {
        bytes.storeBytes(of: extreme ? Self.float(kind) : random.float(), toByteOffset: at, as: Float.self)
        continue
      }
      for i in 0..<format.bytesPerBlock {
        let byte = UInt8.random(in: 0...255, using: &random)
        bytes[at + i] = extreme && kind == .highest ? 255 : extreme && kind == .lowest ? 128 : byte
      }
      switch format.name {
      case "MXFP4":
        bytes[at] = (extreme ? Self.exponent(kind) : nil) ?? UInt8.random(in: 110...124, using: &random)
      case "NVFP4":
        for group in 0..<4 {
          bytes[at + group] = (extreme ? Self.smallFloat(kind) : nil) ?? UInt8.random(in: 1...0x40, using: &random)
        }
      case "IQ1_M":  // in the upper nibbles of four words
        let half = (extreme ? Self.half(kind, format) : nil) ?? UInt16.random(in: 0x2000...0x2fff, using: &random)
        for word in 0..<4 {
          let byte = at + 49 + 2 * word
          bytes[byte] = bytes[byte] & 15 | UInt8(half >> (4 * word) & 15) << 4
        }
      default:
        for field in Self.halves(format) {
          let ordinary: UInt16 =
            format == .bf16
            ? UInt16.random(in: 0x3c00...0x3f00, using: &random) : UInt16.random(in: 0x2000...0x2fff, using: &random)
          let sign: UInt16 = Bool.random(using: &random) ? 0x8000 : 0
          let half = extreme ? Self.half(kind, format) : nil
          bytes.storeBytes(of: half ?? (ordinary | sign), toByteOffset: at + field, as: UInt16.self)
        }
      }
    }
    view = WeightView(
      name: "\(format)", format: format, rows: rows, columns: columns, bytes: UnsafeRawBufferPointer(bytes),
      owner: memory)
  }

  /// At least the largest |scale · integer| + |minimum| of any weight, for `random` blocks.
  var magnitude: Double {
    switch view.format {
    // Halves are below 2^-3; then scale · integer + minimum.
    case .q4_1: 0.125 * 16
    case .q5_1: 0.125 * 32
    case .q2_K: 0.125 * 15 * 4
    case .q4_K: 0.125 * 63 * 16
    case .q5_K: 0.125 * 63 * 32
    default: values.map { Double(abs($0)) }.max()!
    }
  }

  /// The weights as floats, by `dequantize`, which has its own test.
  var values: [Float] {
    let out = Buffer<Float>(count: view.rows * view.columns)
    dequantize(out.pointer, from: view.bytes.baseAddress!, format: view.format, count: out.count)
    return out.values
  }

  /// Where the float16 (or bfloat16) fields of a block are.
  private static func halves(_ format: WeightFormat) -> [Int] {
    switch format.name {
    case "Q4_1", "Q5_1", "Q4_K", "Q5_K": [0, 2]
    case "Q2_K": [80, 82]
    case "Q3_K": [108]
    case "Q6_K": [208]
    case "TQ1_0": [52]
    case "TQ2_0": [64]
    default: [0]
    }
  }

  private static func float(_ kind: Kind) -> Float {
    switch kind {
    case .random, .allOnes, .nanScale: .nan
    case .highest: .greatestFiniteMagnitude
    case .lowest: -.greatestFiniteMagnitude
    case .zeroScale: -0.0
    case .denormalScale: .leastNonzeroMagnitude
    case .infiniteScale: -.infinity
    }
  }

  /// Of MXFP4, which has neither zero nor infinity; nil for an ordinary one.
  private static func exponent(_ kind: Kind) -> UInt8? {
    switch kind {
    case .highest, .lowest: nil
    case .zeroScale: 0
    case .denormalScale: 1
    case .random, .allOnes, .nanScale, .infiniteScale: 255
    }
  }

  /// Of NVFP4; nil for an ordinary one.
  private static func smallFloat(_ kind: Kind) -> UInt8? {
    switch kind {
    case .highest, .lowest: nil
    case .zeroScale: 0
    case .denormalScale: 1
    case .random, .allOnes, .nanScale: 0x7f
    case .infiniteScale: 0xff
    }
  }

  /// Nil for an ordinary one.
  private static func half(_ kind: Kind, _ format: WeightFormat) -> UInt16? {
    switch kind {
    case .highest, .lowest: nil
    case .random, .allOnes, .nanScale: format == .bf16 ? 0x7fc0 : 0x7e00
    case .zeroScale: 0x8000
    case .denormalScale: 0x0001
    case .infiniteScale: format == .bf16 ? 0xff80 : 0xfc00
    }
  }
}

extension Activations {
  /// `rows` rows of `values`, quantised by `kernels` when the precision asks for it.
  convenience init(_ values: [Float], rows: Int, columns: Int, _ precision: Precision, _ kernels: Kernels) {
    self.init(rows, columns, precision: precision)
    for (i, value) in values.enumerated() { matrix.pointer[i] = value }
    update(rows: rows, kernels)
  }
}
