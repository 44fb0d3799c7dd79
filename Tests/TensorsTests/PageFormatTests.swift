/// How pages round keys and values: every half, every tie, every table; blocks of bytes against plain loops.
import Foundation
import Tensors
import Testing

// MARK: Twins

/// The value of a half, by its definition.
private func value(ofHalf h: UInt16) -> Double {
  let (exponent, fraction) = (Int(h >> 10 & 31), Double(h & 1023))
  let magnitude =
    switch exponent {
    case 0: fraction * 0x1p-24
    case 31: fraction == 0 ? .infinity : Double.nan
    default: (1024 + fraction) * pow(2, Double(exponent - 25))
    }
  return h & 0x8000 == 0 ? magnitude : -magnitude
}

/// The nearest half, ties to even; nil for NaN.
private func half(of x: Float) -> UInt16? {
  let sign: UInt16 = x.sign == .minus ? 0x8000 : 0
  let magnitude = abs(Double(x))
  if x.isNaN { return nil }
  if magnitude >= 65520 { return sign | 0x7c00 }  // halfway from 65504 to what would be next
  let exponent = max(magnitude == 0 ? -14 : Int(magnitude.exponent), -14)
  let steps = Int((magnitude / pow(2, Double(exponent - 10))).rounded(.toNearestOrEven))
  // 1024 steps and more are a normal number; a carry reaches the exponent by itself.
  return sign | UInt16(steps < 1024 && exponent == -14 ? steps : (exponent + 14) * 1024 + steps)
}

/// Bytes and scale of a block of 32.
private func block(_ x: some Collection<Float>) -> (q: [Int8], scale: Float) {
  guard x.allSatisfy(\.isFinite) else { return (x.map { _ in 0 }, .nan) }
  let largest = x.map(abs).max()!
  guard largest >= 1e-30 else { return (x.map { _ in 0 }, 0) }
  return (x.map { Int8(($0 * (127 / largest)).rounded(.toNearestOrEven)) }, largest / 127)
}

/// Keys or values `[T, K·E]` as pages of this format keep them.
func rounded(_ m: Matrix, _ kv: KVFormat) -> Matrix {
  let values =
    switch kv {
    case .f32: m.values
    case .f16: m.values.map { half(of: $0).map { Float(value(ofHalf: $0)) } ?? .nan }
    case .q8_0:
      stride(from: 0, to: m.count, by: 32).flatMap { start in
        let (q, scale) = block(m.values[start..<start + 32])
        return q.map { Float($0) * scale }
      }
    }
  return Matrix(m.rows, m.columns, values)
}

// MARK: One head of pages

/// Rows of one head, written to pages as keys and, reversed, as values.
private struct Written {
  let shape: AttentionShape
  let pages: [Buffer<UInt8>]
  private let half: Int

  init(_ rows: [[Float]], _ kv: KVFormat, _ kernels: Kernels) {
    let width = rows[0].count
    shape = TensorsTests.shape(1, 1, width, kv)
    half = shape.pageBytes / 2
    pages = (0..<(rows.count + 63) / 64).map { [shape] _ in Buffer(count: shape.pageBytes) }
    let segment = SegmentList.Segment(
      firstRow: 0, rows: rows.count, firstPosition: 0, pages: pages.map { UnsafeMutableRawPointer($0.pointer) })
    kernels.cacheWrite(
      SegmentList([segment]), shape, k: Matrix(rows.count, width, rows.flatMap { $0 }),
      v: Matrix(rows.count, width, rows.reversed().flatMap { $0 }))
  }

  /// Element `index` of the keys or values of the page that holds `position`, `offset` bytes into them.
  func load<T>(_ type: T.Type, position: Int, values: Bool, offset: Int = 0, _ index: Int) -> T {
    UnsafeRawPointer(pages[position / 64].pointer)
      .load(fromByteOffset: (values ? half : 0) + offset + index * MemoryLayout<T>.stride, as: type)
  }
}

// MARK: Tests

@Test(arguments: Kernels.available)
func halvesRoundToNearestEven(table: String) {
  var cases: [Float] = [.infinity, 65519.996, 65520, 1e30, .leastNonzeroMagnitude, .leastNormalMagnitude, .nan]
  for h in UInt16(0)..<0x7c00 {
    let (low, high) = (value(ofHalf: h), h == 0x7bff ? 65536 : value(ofHalf: h + 1))
    let tie = Float((low + high) / 2)  // exact: a bit more than a half has
    cases += [Float(low), tie.nextDown, tie, tie.nextUp]
  }
  cases += cases.map { -$0 }
  let width = 256
  cases += [Float](repeating: 0, count: (width - cases.count % width) % width)
  let rows = stride(from: 0, to: cases.count, by: width).map { Array(cases[$0..<$0 + width]) }
  let written = Written(rows, .f16, kernels(table))
  var wrong: [Float] = []
  for (t, row) in rows.enumerated() {
    let mirrored = rows.count - 1 - t
    for (e, x) in row.enumerated() {
      let key = written.load(UInt16.self, position: t, values: false, e * 64 + t % 64)
      let value = written.load(UInt16.self, position: mirrored, values: true, mirrored % 64 * width + e)
      let isRight = half(of: x).map { key == $0 && value == $0 } ?? (key & 0x7fff > 0x7c00 && value & 0x7fff > 0x7c00)
      if !isRight { wrong.append(x) }
    }
  }
  #expect(wrong.isEmpty, "\(wrong.count) are wrong, \(wrong.first ?? 0) is the first")
}

/// A single position has probability 1, so that the output is its value: every half comes back as the float it is.
@Test(arguments: Kernels.available)
func everyHalfIsReadExactly(table: String) {
  let width = 256
  let shape = shape(1, 1, width, .f16)
  let pages = (0..<256).map { high in
    let page = Buffer<UInt8>(count: shape.pageBytes)
    for low in 0..<256 {
      UnsafeMutableRawPointer(page.pointer)
        .storeBytes(of: UInt16(high * 256 + low), toByteOffset: shape.pageBytes / 2 + low * 2, as: UInt16.self)
    }
    return page
  }
  let segments = SegmentList(
    pages.enumerated().map {
      .init(firstRow: $0, rows: 1, firstPosition: 0, pages: [UnsafeMutableRawPointer($1.pointer)])
    })
  let out = Matrix(256, width)
  withExtendedLifetime(pages) {
    kernels(table).attention(out, nil, Matrix(256, width), segments, shape)
  }
  let wrong = (0..<65536).filter { index in
    let (got, want) = (Double(out.pointer[index]), value(ofHalf: UInt16(index)))
    return want.isNaN ? !got.isNaN : got != want
  }
  #expect(wrong.isEmpty, "\(wrong.count) are wrong, \(wrong.first ?? 0) is the first")
}

@Test(arguments: Kernels.available)
func bytesRoundToNearestEven(table: String) {
  var random = Seeded(6)
  let width = 64
  // Ties (127 steps of 1/128 each), ordinary values, tiny and huge ones, none, and what is not finite.
  let steps = (0..<width).map { i -> Float in i % 32 == 31 ? 127 : Float(i % 32) + 0.5 }
  let ties = steps.map { $0 / 128 }
  var rows: [[Float]] = [ties, ties.map { -$0 }]
  for x: Float in [0, 1e-31] { rows.append([Float](repeating: x, count: width)) }
  for size: Float in [1, 1e-25, 1e30] { rows.append(random.floats(width, size)) }
  for x in [Float.nan, .infinity, -.infinity] {
    var row = random.floats(width)
    row[40] = x
    rows.append(row)
  }
  rows += (0..<80).map { _ in random.floats(width, 3) }
  let written = Written(rows, .q8_0, kernels(table))
  for (t, row) in rows.enumerated() {
    let mirrored = rows.count - 1 - t
    for b in 0..<2 {
      let first = b * 32
      let want = block(row[first..<first + 32])
      let scales = [
        written.load(Float.self, position: t, values: false, offset: width * 64, b * 64 + t % 64),
        written.load(Float.self, position: mirrored, values: true, offset: width * 64, mirrored % 64 * 2 + b),
      ]
      expectSameBits(scales, [want.scale, want.scale], "scale of row \(t), block \(b)")
      for (i, q) in want.q.enumerated() {
        let key = written.load(Int8.self, position: t, values: false, (first + i) * 64 + t % 64)
        let value = written.load(Int8.self, position: mirrored, values: true, mirrored % 64 * width + first + i)
        #expect(key == q && value == q, "row \(t), value \(first + i)")
      }
    }
  }
}

/// 4, 2 and 9/8 bytes a value.
@Test func pagesTakeWhatTheFormatSays() {
  let bytes = KVFormat.allCases.map { shape(4, 2, 64, $0).pageBytes }
  #expect(bytes == [2 * 2 * 64 * 64 * 4, 2 * 2 * 64 * 64 * 2, 2 * 2 * 64 * 64 * 9 / 8])
}
