/// What a template can hold. An enum and nothing more: no files, no objects, no code can be reached from here.
/// Strings are compared and measured by Unicode scalars, as Python does, never by graphemes.

enum Value: Sendable {
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case list(List)
  case dict(Dict)
  case namespace(Namespace)
  case loop(LoopState)
  case macro(Macro)
  /// `range`, `namespace`, `raise_exception`, `strftime_now`, `dict`.
  case function(String)

  /// How many containers lie inside one another. A container refuses to pass this, so walking a value is safe; a
  /// namespace, which could hold itself, counts as full and fits in none.
  static let nestingLimit = 64

  var nesting: Int {
    switch self {
    case .list(let list): list.nesting
    case .dict(let dict): dict.nesting
    case .namespace, .loop: Self.nestingLimit
    default: 0
    }
  }

  init(_ json: JSONValue) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .int(Int(value))
    case .unsigned(let value): self = Int(exactly: value).map(Value.int) ?? .float(Double(value))
    case .number(let value): self = .float(value)
    case .string(let text): self = .string(text)
    case .array(let items): self = .list(items.map(Value.init))
    case .object(let object): self = .dict(Dict(object.fields.map { (key: $0.name, value: Value($0.value)) }))
    }
  }

  static func list(_ items: [Value]) -> Value { .list(List(items)) }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .float(let value): value != 0
    case .string(let value): !value.utf8.isEmpty
    case .list(let list): !list.items.isEmpty
    case .dict(let dict): !dict.entries.isEmpty
    case .namespace, .loop, .macro, .function: true
    }
  }

  /// For messages, in Python's words.
  var typeName: String {
    switch self {
    case .undefined(let name): "undefined '\(name)'"
    case .none: "none"
    case .bool: "a boolean"
    case .int: "an integer"
    case .float: "a float"
    case .string: "a string"
    case .list(let list): list.isLazy ? "a filter's result that is not made a list" : "a list"
    case .dict: "a mapping"
    case .namespace: "a namespace"
    case .loop: "a loop"
    case .macro: "a macro"
    case .function(let name): "the function '\(name)'"
    }
  }

  /// The number a value stands for in arithmetic; booleans count as 0 and 1, as in Python.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  struct List: Sendable {
    let items: [Value]
    let nesting: Int
    /// What Jinja makes as a generator (`map`, `select`, …): it can be walked, joined and made a list, not printed or measured.
    let isLazy: Bool

    init(_ items: [Value], isLazy: Bool = false) {
      self.items = items
      self.isLazy = isLazy
      nesting = 1 + (items.lazy.map(\.nesting).max() ?? 0)
    }
  }

  /// A mapping with string keys in the order they came.
  struct Dict: Sendable {
    private(set) var entries: [(key: String, value: Value)] = []
    private(set) var nesting = 1

    init() {}

    /// - Parameter entries: no key comes twice.
    init(_ entries: [(key: String, value: Value)]) {
      self.entries = entries
      nesting = 1 + (entries.lazy.map(\.value.nesting).max() ?? 0)
    }

    subscript(_ key: String) -> Value? { entries.first { $0.key.isSame(as: key) }?.value }

    mutating func set(_ key: String, _ value: Value) {
      nesting = max(nesting, 1 + value.nesting)
      if let index = entries.firstIndex(where: { $0.key.isSame(as: key) }) {
        entries[index].value = value
      } else {
        entries.append((key, value))
      }
    }
  }

  /// The one kind of value that can change: `{% set ns.field = … %}`. Lives within one rendering, on one thread.
  final class Namespace: @unchecked Sendable {
    var fields = Dict()
  }

  /// `loop` inside a `for`.
  struct LoopState: Sendable {
    let items: [Value]
    let index: Int

    func attribute(_ name: String) -> Value? {
      switch name {
      case "index": .int(index + 1)
      case "index0": .int(index)
      case "revindex": .int(items.count - index)
      case "revindex0": .int(items.count - index - 1)
      case "first": .bool(index == 0)
      case "last": .bool(index == items.count - 1)
      case "length": .int(items.count)
      case "previtem": index > 0 ? items[index - 1] : .undefined("previtem")
      case "nextitem": index + 1 < items.count ? items[index + 1] : .undefined("nextitem")
      default: nil
      }
    }
  }
}

// MARK: - Strings as Python sees them

extension String {
  /// Same scalars; `==` would also accept another normal form.
  func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

  /// The white space `str.strip` removes: White_Space and the four separators U+001C to U+001F.
  static func isPythonSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1c...0x1f).contains(scalar.value)
  }

  /// Without the scalars in `set` (white space when nil) at the chosen ends.
  func stripped(_ set: String? = nil, left: Bool = true, right: Bool = true) -> String {
    func goes(_ scalar: Unicode.Scalar) -> Bool {
      if let set { set.unicodeScalars.contains(scalar) } else { Self.isPythonSpace(scalar) }
    }
    var rest = unicodeScalars[...]
    while left, let first = rest.first, goes(first) { rest.removeFirst() }
    while right, let last = rest.last, goes(last) { rest.removeLast() }
    return String(rest)
  }

  /// Byte offsets of `needle`, left to right without overlap, at most `limit` of them.
  func ranges(ofBytes needle: String, limit: Int = .max) -> [Range<Int>] {
    let text = Array(utf8)
    let wanted = Array(needle.utf8)
    var found: [Range<Int>] = []
    guard !wanted.isEmpty, wanted.count <= text.count else { return found }
    var position = 0
    while position <= text.count - wanted.count, found.count < limit {
      if text[position] == wanted[0], text[position...].starts(with: wanted) {
        found.append(position..<(position + wanted.count))
        position += wanted.count
      } else {
        position += 1
      }
    }
    return found
  }

  /// The parts between the occurrences of `separator`.
  func split(on separator: String, limit: Int = .max) -> [String] {
    let text = Array(utf8)
    var parts: [String] = []
    var start = 0
    for range in ranges(ofBytes: separator, limit: limit) {
      parts.append(String(decoding: text[start..<range.lowerBound], as: UTF8.self))
      start = range.upperBound
    }
    parts.append(String(decoding: text[start...], as: UTF8.self))
    return parts
  }

  func hasBytePrefix(_ prefix: String) -> Bool { utf8.starts(with: prefix.utf8) }
  func hasByteSuffix(_ suffix: String) -> Bool { utf8.reversed().starts(with: suffix.utf8.reversed()) }
}
