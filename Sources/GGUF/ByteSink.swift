/// Little-endian values one behind the other: the mirror of `ByteCursor`.
struct ByteSink {
  var bytes: [UInt8] = []

  mutating func put(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func put(_ text: String) {
    put(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  /// The value without its type.
  mutating func put(_ value: GGUFValue) {
    switch value {
    case .uint8(let value): put(value)
    case .int8(let value): put(value)
    case .uint16(let value): put(value)
    case .int16(let value): put(value)
    case .uint32(let value): put(value)
    case .int32(let value): put(value)
    case .uint64(let value): put(value)
    case .int64(let value): put(value)
    case .float32(let value): put(value.bitPattern)
    case .float64(let value): put(value.bitPattern)
    case .bool(let value): put(UInt8(value ? 1 : 0))
    case .string(let value): put(value)
    case .array(let type, let items):
      put(type.rawValue)
      put(UInt64(items.count))
      for item in items { put(item) }
    }
  }
}
