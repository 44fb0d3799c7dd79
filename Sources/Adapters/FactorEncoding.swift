import Tensors

extension Matrix {
  /// The format a factor is stored in when `format` is asked for: that one if its rows are whole blocks, else F32.
  func storedFormat(_ format: WeightFormat) -> WeightFormat {
    columns.isMultiple(of: format.valuesPerBlock) ? format : .f32
  }

  /// The values in `storedFormat(format)`: F32, F16, BF16, or one that `quantize` writes.
  /// - Throws: `tooLarge` for a value beyond the range of the format.
  func encoded(_ format: WeightFormat, name: String) throws(AdapterError) -> [UInt8] {
    let format = storedFormat(format)
    var bytes: [UInt8]
    switch format {
    case .f32: return littleEndianBytes
    case .f16: bytes = values.map { Self.half($0).littleEndian }.withUnsafeBytes(Array.init)
    case .bf16: bytes = values.map { Self.bfloat($0).littleEndian }.withUnsafeBytes(Array.init)
    default:
      bytes = [UInt8](repeating: 0, count: format.bytes(for: count) ?? 0)
      bytes.withUnsafeMutableBytes { out in
        if let start = out.baseAddress { quantize(start, from: pointer, format: format, count: count) }
      }
    }
    let back = Matrix(rows, columns)
    bytes.withUnsafeBytes { stored in
      if let start = stored.baseAddress { dequantize(back.pointer, from: start, format: format, count: count) }
    }
    if let index = back.buffer.span.firstIndex(where: { !$0.isFinite }) {
      throw .tooLarge(tensor: name, value: pointer[index], format: format.name)
    }
    return bytes
  }

  /// The nearest half, to even where two are as near. (Not `Float16`, which not every machine of the package has.)
  private static func half(_ value: Float) -> UInt16 {
    let sign = UInt16(value.bitPattern >> 16) & 0x8000
    let magnitude = value.magnitude
    if magnitude >= 65520 { return sign | 0x7C00 }
    // Below the least normal half, steps are of 2⁻²⁴; the last of them is that half.
    if magnitude < 0x1p-14 { return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven)) }
    let bits = magnitude.bitPattern
    return sign | UInt16((bits + 0xFFF + (bits >> 13 & 1) - (112 << 23)) >> 13)
  }

  private static func bfloat(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }
}
