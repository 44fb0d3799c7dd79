import Tensors

/// Plain encoders for test files: correct, not clever. K formats get random blocks instead, see `randomBlocks`.
extension WeightFormat {
  /// `values` in this format; a whole number of blocks of a format that is not a K format.
  public func encoded(_ values: [Float]) -> [UInt8] {
    precondition(values.count.isMultiple(of: valuesPerBlock), "\(values.count) values are not whole blocks of \(self)")
    switch self {
    case .f32: return values.flatMap { littleEndian($0.bitPattern) }
    case .f16: return values.flatMap(half)
    case .bf16: return values.flatMap { littleEndian(roundedToBF16($0)) }
    case .q8_0: return blocks(of: values, eightBitBlock)
    case .q4_0: return blocks(of: values, fourBitBlock)
    case .q4_1: return blocks(of: values, fourBitBlockWithMinimum)
    case .q5_0: return blocks(of: values, fiveBitBlock)
    case .q5_1: return blocks(of: values, fiveBitBlockWithMinimum)
    default: preconditionFailure("no test encoder for \(self)")
    }
  }

  /// The formats of `randomBlocks`.
  public static let kFormats: [WeightFormat] = [.q2_K, .q3_K, .q4_K, .q5_K, .q6_K]

  /// Blocks of random bits of a K format, whose values have about this deviation. Every bit pattern of scales and quants occurs.
  public func randomBlocks(values count: Int, deviation: Float, _ random: Seeded) -> [UInt8] {
    var bytes = random.bytes(count / valuesPerBlock * bytesPerBlock)
    for start in stride(from: 0, to: bytes.count, by: bytesPerBlock) {
      switch self {
      case .q2_K:
        // x = d·s·q − m·t with 4-bit s, t and 2-bit q: d·7.5·1.5 meets m·7.5 in the mean; the rest spreads by about 14 d.
        bytes.replaceSubrange((start + 80)..<(start + 82), with: half(deviation / 14))
        bytes.replaceSubrange((start + 82)..<(start + 84), with: half(1.5 * deviation / 14))
      case .q3_K:
        // x = d·(s − 32)·(q − 4) with 6-bit s (deviation 18.5) and 3-bit q (2.3).
        bytes.replaceSubrange((start + 108)..<(start + 110), with: half(deviation / (18.5 * 2.3)))
      case .q4_K:
        // x = d·s·q − m·t with 6-bit s, t and 4-bit q: d·31·7.5 meets m·31 in the mean; the rest spreads by about 250 d.
        bytes.replaceSubrange(start..<(start + 2), with: half(deviation / 250))
        bytes.replaceSubrange((start + 2)..<(start + 4), with: half(7.5 * deviation / 250))
      case .q5_K:
        // As Q4_K with 5-bit q: d·31·15.5 meets m·31; about 530 d.
        bytes.replaceSubrange(start..<(start + 2), with: half(deviation / 530))
        bytes.replaceSubrange((start + 2)..<(start + 4), with: half(15.5 * deviation / 530))
      case .q6_K:
        // x = d·s·(q − 32) with 8-bit signed s (deviation 74) and 6-bit q (18).
        bytes.replaceSubrange((start + 208)..<(start + 210), with: half(deviation / (74 * 18)))
      default: preconditionFailure("\(self) has an encoder")
      }
    }
    return bytes
  }

  private func blocks(of values: [Float], _ encode: (ArraySlice<Float>) -> [UInt8]) -> [UInt8] {
    stride(from: 0, to: values.count, by: valuesPerBlock).flatMap { encode(values[$0..<($0 + valuesPerBlock)]) }
  }
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

private func half(_ value: Float) -> [UInt8] { littleEndian(Float16(value).bitPattern) }

/// The upper half of the bits, rounded to nearest even; `value` is finite.
private func roundedToBF16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  return UInt16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
}

/// `value / scale` as an integer within `range`.
private func quant(_ value: Float, _ scale: Float, _ range: ClosedRange<Int>) -> Int {
  scale == 0 ? 0 : min(max(Int((value / scale).rounded()), range.lowerBound), range.upperBound)
}

/// Q8_0: x = d·q, q in ±127.
private func eightBitBlock(_ x: ArraySlice<Float>) -> [UInt8] {
  let scale = (x.map(abs).max() ?? 0) / 127
  return half(scale) + x.map { UInt8(bitPattern: Int8(quant($0, scale, -127...127))) }
}

/// Q4_0: x = d·(q − 8), q in 0...15.
private func fourBitBlock(_ x: ArraySlice<Float>) -> [UInt8] {
  let scale = (x.map(abs).max() ?? 0) / 7
  return half(scale) + nibbles(x.map { UInt8(quant($0, scale, -8...7) + 8) })
}

/// Q4_1: x = d·q + m, q in 0...15.
private func fourBitBlockWithMinimum(_ x: ArraySlice<Float>) -> [UInt8] {
  let (low, high) = (x.min() ?? 0, x.max() ?? 0)
  let scale = (high - low) / 15
  return half(scale) + half(low) + nibbles(x.map { UInt8(quant($0 - low, scale, 0...15)) })
}

/// Q5_0: x = d·(q − 16), q in 0...31.
private func fiveBitBlock(_ x: ArraySlice<Float>) -> [UInt8] {
  let scale = (x.map(abs).max() ?? 0) / 15
  let q = x.map { UInt8(quant($0, scale, -16...15) + 16) }
  return half(scale) + fifthBits(q) + nibbles(q)
}

/// Q5_1: x = d·q + m, q in 0...31.
private func fiveBitBlockWithMinimum(_ x: ArraySlice<Float>) -> [UInt8] {
  let (low, high) = (x.min() ?? 0, x.max() ?? 0)
  let scale = (high - low) / 31
  let q = x.map { UInt8(quant($0 - low, scale, 0...31)) }
  return half(scale) + half(low) + fifthBits(q) + nibbles(q)
}

/// The low nibbles of 32 values in 16 bytes: the first half in their low nibbles, the second in the high ones.
private func nibbles(_ q: [UInt8]) -> [UInt8] { (0..<16).map { q[$0] & 15 | q[$0 + 16] << 4 } }

/// Bit 4 of 32 values, the first in the lowest bit.
private func fifthBits(_ q: [UInt8]) -> [UInt8] {
  (0..<4).map { byte in (0..<8).reduce(0) { $0 | (q[8 * byte + $1] >> 4 & 1) << $1 } }
}
