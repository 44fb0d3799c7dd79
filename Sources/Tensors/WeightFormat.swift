import CKernels

/// A format of weights in a file. The list, names and sizes come from `K_BLOCK_FORMATS` in C; a format has a constant
/// here only where Swift code asks for it.
public struct WeightFormat: Hashable, Sendable, CustomStringConvertible, CaseIterable {
  let id: k_format

  public static let f32 = WeightFormat(id: K_F32)
  public static let f16 = WeightFormat(id: K_F16)
  public static let bf16 = WeightFormat(id: K_BF16)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q4_0 = WeightFormat(id: K_Q4_0)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q4_1 = WeightFormat(id: K_Q4_1)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q5_0 = WeightFormat(id: K_Q5_0)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q5_1 = WeightFormat(id: K_Q5_1)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q8_0 = WeightFormat(id: K_Q8_0)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q2_K = WeightFormat(id: K_Q2_K)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q3_K = WeightFormat(id: K_Q3_K)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q4_K = WeightFormat(id: K_Q4_K)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q5_K = WeightFormat(id: K_Q5_K)
  // swift-format-ignore: AlwaysUseLowerCamelCase
  public static let q6_K = WeightFormat(id: K_Q6_K)

  public static let allCases: [WeightFormat] =
    (0..<K_FORMAT_COUNT.rawValue).map { WeightFormat(id: k_format($0)) }

  init(id: k_format) { self.id = id }

  /// The format with this ggml type id, if it is one of ours.
  public init?(typeID: UInt32) {
    guard let format = Self.allCases.first(where: { $0.typeID == typeID }) else { return nil }
    self = format
  }

  /// The format of this name, `IQ4_XS` for example.
  public init?(name: String) {
    guard let format = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = format
  }

  /// The format's name in the field, `Q4_K` for example.
  public var name: String { String(cString: k_format_facts(id).name) }
  /// The ggml type id in GGUF files.
  public var typeID: UInt32 { k_format_facts(id).type_id }
  public var valuesPerBlock: Int { Int(k_format_facts(id).block_values) }
  public var bytesPerBlock: Int { Int(k_format_facts(id).block_bytes) }
  /// True for F32, F16 and BF16, whose products are always float.
  public var isFloat: Bool { valuesPerBlock == 1 }
  /// True for the formats that `quantize` writes.
  public var canQuantize: Bool { k_quantizes(id) }
  public var description: String { name }

  public func hash(into hasher: inout Hasher) { hasher.combine(id.rawValue) }

  /// Bytes of one row of `count` values; nil when `count` is not a whole number of blocks or overflows.
  public func bytes(for count: Int) -> Int? {
    guard count >= 0, count.isMultiple(of: valuesPerBlock) else { return nil }
    let (bytes, overflow) = (count / valuesPerBlock).multipliedReportingOverflow(by: bytesPerBlock)
    return overflow ? nil : bytes
  }
}
