/// Records to JSON: the fields of records in alphabetical order, so that equal records give equal bytes; objects that were
/// read from a file (`JSONObject`) in their own order.

import Foundation

/// What has been encoded: text, or a container of more.
private final class Node {
  enum Content {
    case text(String)
    case list([Node])
    case fields([String: Node])
  }
  var content: Content

  init(_ content: Content) { self.content = content }

  func write(_ result: inout String) {
    switch content {
    case .text(let text): result += text
    case .list(let items):
      result += "["
      for (place, item) in items.enumerated() {
        if place > 0 { result += "," }
        item.write(&result)
      }
      result += "]"
    case .fields(let fields):
      result += "{"
      let sorted = fields.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      for (place, field) in sorted.enumerated() {
        if place > 0 { result += "," }
        JSONText.append(field.key, to: &result)
        result += ":"
        field.value.write(&result)
      }
      result += "}"
    }
  }
}

enum JSONText {
  /// - Throws: `EncodingError.invalidValue` for a number that is not finite.
  static func of(_ value: some Encodable) throws -> String {
    let node = Node(.text("null"))
    try JSONTreeEncoder(node, path: []).encode(value)
    var result = ""
    node.write(&result)
    return result
  }

  static func append(_ text: String, to result: inout String) {
    result += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{08}": result += "\\b"
      case "\u{0C}": result += "\\f"
      case "\u{00}"..."\u{1F}": result += String(format: "\\u%04x", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    result += "\""
  }

  static func append(_ value: JSONValue, to result: inout String) {
    switch value {
    case .null: result += "null"
    case .bool(let value): result += "\(value)"
    case .integer(let value): result += "\(value)"
    case .unsigned(let value): result += "\(value)"
    case .number(let value): result += "\(value)"
    case .string(let text): append(text, to: &result)
    case .array(let items):
      result += "["
      for (place, item) in items.enumerated() {
        if place > 0 { result += "," }
        append(item, to: &result)
      }
      result += "]"
    case .object(let object):
      result += "{"
      for (place, field) in object.fields.enumerated() {
        if place > 0 { result += "," }
        append(field.name, to: &result)
        result += ":"
        append(field.value, to: &result)
      }
      result += "}"
    }
  }
}

/// Builds nodes. Containers refer to their node, so several containers of one value are one object.
struct JSONTreeEncoder: Encoder {
  private let node: Node
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  fileprivate init(_ node: Node, path: [any CodingKey]) {
    self.node = node
    codingPath = path
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if case .fields = node.content {} else { node.content = .fields([:]) }
    return KeyedEncodingContainer(Fields<Key>(node: node, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .list = node.content {} else { node.content = .list([]) }
    return Items(node: node, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

  func put(_ value: JSONValue) {
    var text = ""
    JSONText.append(value, to: &text)
    node.content = .text(text)
  }

  /// The shortest digits that read back to the same bits, without a fraction of zero.
  private func put<Number: FloatingPoint & LosslessStringConvertible>(_ number: Number) throws {
    guard number.isFinite else {
      throw EncodingError.invalidValue(number, .init(codingPath: codingPath, debugDescription: "not finite"))
    }
    let text = String(number)
    node.content = .text(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
  }

  fileprivate func encode(_ value: some Encodable) throws {
    switch value {
    case let value as Double: try put(value)
    case let value as Float: try put(value)
    case let value as String: put(.string(value))
    case let value as Bool: put(.bool(value))
    case let value as any BinaryInteger: node.content = .text("\(value)")
    case let value as JSONValue: put(value)
    default: try value.encode(to: self)
    }
  }

  private struct Fields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: Node
    let codingPath: [any CodingKey]

    private func child(_ key: any CodingKey) -> JSONTreeEncoder {
      let child = Node(.text("null"))
      if case .fields(var fields) = node.content {
        node.content = .text("")  // so that the dictionary is not copied
        fields[key.stringValue] = child
        node.content = .fields(fields)
      }
      return JSONTreeEncoder(child, path: codingPath + [key])
    }

    func encodeNil(forKey key: Key) throws { child(key).put(.null) }
    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try child(key).encode(value) }
    func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { child(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { child(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { child(AnyKey("super")) }
    func superEncoder(forKey key: Key) -> any Encoder { child(key) }
  }

  private struct Items: UnkeyedEncodingContainer {
    let node: Node
    let codingPath: [any CodingKey]

    var count: Int { if case .list(let items) = node.content { items.count } else { 0 } }

    private func child() -> JSONTreeEncoder {
      let child = Node(.text("null"))
      let path = codingPath + [AnyKey("\(count)")]
      if case .list(var items) = node.content {
        node.content = .text("")  // so that the list is not copied
        items.append(child)
        node.content = .list(items)
      }
      return JSONTreeEncoder(child, path: path)
    }

    func encodeNil() throws { child().put(.null) }
    func encode<Value: Encodable>(_ value: Value) throws { try child().encode(value) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
      child().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { child().unkeyedContainer() }
    func superEncoder() -> any Encoder { child() }
  }

  private struct Single: SingleValueEncodingContainer {
    let encoder: JSONTreeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil() throws { encoder.put(.null) }
    func encode<Value: Encodable>(_ value: Value) throws { try encoder.encode(value) }
  }
}
