/// The configuration of an adapter that another program wrote: JSON of which we know some keys.

import Foundation
import Tensors

enum Setting: Decodable, Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case text(String)
  case list([Setting])
  case object([String: Setting])

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else if let list = try? value.decode([Setting].self) {
      self = .list(list)
    } else {
      self = .object(try value.decode([String: Setting].self))
    }
  }

  /// Says nothing: what programs write for a setting that is not used.
  var isIdle: Bool {
    switch self {
    case .null, .bool(false): true
    case .list(let items): items.isEmpty
    case .object(let fields): fields.isEmpty
    case .bool, .number, .text: false
    }
  }
}

/// The settings of one file.
struct Settings {
  let path: String
  let fields: [String: Setting]

  /// - Throws: `FileError`, or `AdapterError.configuration`.
  init(_ path: String) throws {
    let bytes = try AtomicFile.read(path)
    guard let fields = try? JSONDecoder().decode([String: Setting].self, from: Data(bytes)) else {
      throw AdapterError.configuration(path: path, key: nil, wanted: "one JSON object")
    }
    (self.path, self.fields) = (path, fields)
  }

  private init(_ path: String, _ fields: [String: Setting]) { (self.path, self.fields) = (path, fields) }

  private func wrong(_ key: String, _ wanted: String) -> AdapterError {
    .configuration(path: path, key: key, wanted: wanted)
  }

  /// nil when it is not there or null.
  func text(_ key: String) throws(AdapterError) -> String? {
    switch fields[key] ?? .null {
    case .null: nil
    case .text(let text): text
    default: throw wrong(key, "a text")
    }
  }

  func number(_ key: String) throws(AdapterError) -> Double? {
    switch fields[key] ?? .null {
    case .null: nil
    case .number(let number): number
    default: throw wrong(key, "a number")
    }
  }

  /// From 1 to 2^20: no matrix of a model has more rows or columns.
  func count(_ key: String) throws(AdapterError) -> Int? {
    guard let number = try number(key) else { return nil }
    guard let count = Int(exactly: number), (1...(1 << 20)).contains(count) else {
      throw wrong(key, "a whole number above 0")
    }
    return count
  }

  func flag(_ key: String) throws(AdapterError) -> Bool {
    switch fields[key] ?? .null {
    case .null: false
    case .bool(let flag): flag
    default: throw wrong(key, "true or false")
    }
  }

  /// Settings within a setting; nil when it is not there or null.
  func object(_ key: String) throws(AdapterError) -> Settings? {
    switch fields[key] ?? .null {
    case .null: nil
    case .object(let fields): Settings(path, fields)
    default: throw wrong(key, "a JSON object")
    }
  }
}
