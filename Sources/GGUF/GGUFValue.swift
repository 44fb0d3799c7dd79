/// The types a metadata value can have, with their ids in the file.
public enum GGUFType: UInt32, Sendable, CaseIterable {
  case uint8 = 0
  case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// The fewest bytes a value of this type can take in a file.
  var minimumBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }
}

/// One metadata value, with the type it has in the file.
public enum GGUFValue: Equatable, Sendable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case float32(Float)
  case bool(Bool)
  case string(String)
  /// Items of one type, which is not `array`.
  case array(GGUFType, [GGUFValue])
  case uint64(UInt64)
  case int64(Int64)
  case float64(Double)

  public static func strings(_ values: [String]) -> GGUFValue { .array(.string, values.map(GGUFValue.string)) }
  public static func int32s(_ values: [Int32]) -> GGUFValue { .array(.int32, values.map(GGUFValue.int32)) }
  public static func uint32s(_ values: [UInt32]) -> GGUFValue { .array(.uint32, values.map(GGUFValue.uint32)) }
  public static func float32s(_ values: [Float]) -> GGUFValue { .array(.float32, values.map(GGUFValue.float32)) }

  public var type: GGUFType {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .float32: .float32
    case .bool: .bool
    case .string: .string
    case .array: .array
    case .uint64: .uint64
    case .int64: .int64
    case .float64: .float64
    }
  }

  /// The value, when it is an integer of any width that fits.
  public var asInt: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(exactly: value)
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  public var asFloat: Float? {
    switch self {
    case .float32(let value): value
    case .float64(let value): Float(value)
    default: nil
    }
  }

  public var asBool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  public var asString: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The items, when this is an array and `convert` accepts every one of them.
  func items<Item>(_ convert: (GGUFValue) -> Item?) -> [Item]? {
    guard case .array(_, let values) = self else { return nil }
    var items: [Item] = []
    items.reserveCapacity(values.count)
    for value in values {
      guard let item = convert(value) else { return nil }
      items.append(item)
    }
    return items
  }

  /// For messages: `uint32`, or `array of string`.
  var typeName: String {
    if case .array(let element, _) = self { "array of \(element)" } else { "\(type)" }
  }
}
