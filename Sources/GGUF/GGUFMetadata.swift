/// The key/value pairs of a file, in file order, with typed access.
///
/// The plain accessors throw when the key is missing; the `optional` ones return nil then. Both throw when the value
/// has another type. Integers of any width serve as `int`, float32 and float64 as `float`.
public struct GGUFMetadata: Equatable, Sendable {
  public private(set) var keys: [String] = []
  private var values: [String: GGUFValue] = [:]

  public init() {}

  public subscript(_ key: String) -> GGUFValue? { values[key] }

  /// Adds a pair at the end, or gives an existing key its new value.
  public mutating func set(_ key: String, _ value: GGUFValue) {
    if values.updateValue(value, forKey: key) == nil { keys.append(key) }
  }

  // MARK: Required

  public func string(_ key: String) throws(GGUFError) -> String { try required(optionalString(key), key) }
  public func int(_ key: String) throws(GGUFError) -> Int { try required(optionalInt(key), key) }
  public func positive(_ key: String) throws(GGUFError) -> Int { try required(optionalPositive(key), key) }
  public func float(_ key: String) throws(GGUFError) -> Float { try required(optionalFloat(key), key) }
  public func bool(_ key: String) throws(GGUFError) -> Bool { try required(optionalBool(key), key) }
  public func strings(_ key: String) throws(GGUFError) -> [String] { try required(optionalStrings(key), key) }
  public func ints(_ key: String) throws(GGUFError) -> [Int] { try required(optionalInts(key), key) }
  public func floats(_ key: String) throws(GGUFError) -> [Float] { try required(optionalFloats(key), key) }

  // MARK: Optional

  public func optionalString(_ key: String) throws(GGUFError) -> String? {
    try read(key, as: "string") { $0.asString }
  }

  public func optionalInt(_ key: String) throws(GGUFError) -> Int? {
    try read(key, as: "integer") { $0.asInt }
  }

  /// An integer above 0.
  public func optionalPositive(_ key: String) throws(GGUFError) -> Int? {
    guard let value = try optionalInt(key) else { return nil }
    guard value > 0 else { throw .notPositive(key: key, value: value) }
    return value
  }

  public func optionalFloat(_ key: String) throws(GGUFError) -> Float? {
    try read(key, as: "float") { $0.asFloat }
  }

  public func optionalBool(_ key: String) throws(GGUFError) -> Bool? {
    try read(key, as: "bool") { $0.asBool }
  }

  public func optionalStrings(_ key: String) throws(GGUFError) -> [String]? {
    try read(key, as: "array of string") { $0.items { $0.asString } }
  }

  public func optionalInts(_ key: String) throws(GGUFError) -> [Int]? {
    try read(key, as: "array of integer") { $0.items { $0.asInt } }
  }

  public func optionalFloats(_ key: String) throws(GGUFError) -> [Float]? {
    try read(key, as: "array of float") { $0.items { $0.asFloat } }
  }

  private func read<Value>(
    _ key: String, as wanted: String, _ convert: (GGUFValue) -> Value?
  ) throws(GGUFError) -> Value? {
    guard let value = values[key] else { return nil }
    guard let converted = convert(value) else {
      throw .wrongType(key: key, found: value.typeName, wanted: wanted)
    }
    return converted
  }

  private func required<Value>(_ value: Value?, _ key: String) throws(GGUFError) -> Value {
    guard let value else { throw .missingKey(key) }
    return value
  }
}
