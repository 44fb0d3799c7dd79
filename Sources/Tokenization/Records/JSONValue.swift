/// Any JSON, for fields this program does not know and carries through.

import Foundation

public enum JSONValue: Codable, Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// Fields keep their order when the decoder knows the text it reads, as that of `JSONLines` does; else they are sorted.
  public init(from decoder: any Decoder) throws {
    if let root = CodingUserInfoKey.wholeJSON.flatMap({ decoder.userInfo[$0] }) as? JSONValue,
      let part = root.part(at: decoder.codingPath)
    {
      self = part
      return
    }
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int64.self) {
      self = .integer(value)
    } else if let value = try? container.decode(UInt64.self) {
      self = .unsigned(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      let fields = try container.decode([String: JSONValue].self)
      self = .object(JSONObject(fields.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }))
    }
  }

  private func part(at path: [any CodingKey]) -> JSONValue? {
    var part = self
    for key in path {
      switch part {
      case .object(let object):
        guard let field = object[key.stringValue] else { return nil }
        part = field
      case .array(let items):
        guard let index = key.intValue, items.indices.contains(index) else { return nil }
        part = items[index]
      default: return nil
      }
    }
    return part
  }

  public func encode(to encoder: any Encoder) throws {
    if let tree = encoder as? JSONTreeEncoder { return tree.put(self) }
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .unsigned(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(Dictionary(value.fields.map { ($0.name, $0.value) }) { $1 })
    }
  }
}

extension CodingUserInfoKey {
  /// The value a decoder works on, from its root.
  static let wholeJSON = CodingUserInfoKey(rawValue: "parley.wholeJSON")
}

/// A coding key made from any text.
struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(_ text: String) { stringValue = text }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Decoder {
  /// The fields of this object that `known` does not list.
  func unknownFields<Key: CodingKey & CaseIterable>(besides known: Key.Type) throws -> [String: JSONValue] {
    let names = Set(known.allCases.map(\.stringValue))
    let container = try self.container(keyedBy: AnyKey.self)
    var fields: [String: JSONValue] = [:]
    for key in container.allKeys where !names.contains(key.stringValue) {
      fields[key.stringValue] = try container.decode(JSONValue.self, forKey: key)
    }
    return fields
  }
}

extension Encoder {
  func encodeUnknown(_ fields: [String: JSONValue]) throws {
    var container = self.container(keyedBy: AnyKey.self)
    for (name, value) in fields { try container.encode(value, forKey: AnyKey(name)) }
  }
}
