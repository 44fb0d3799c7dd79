/// Values as JSON: Hugging Face's `tojson`, which is Python's `json.dumps` without escapes for HTML.

struct JSONStyle {
  /// Spaces of a level; nil writes one line.
  var indent: Int?
  var itemSeparator: String
  var keySeparator = ": "
  var escapesNonASCII = false
  var sortsKeys = false

  init(_ arguments: CallArguments, _ run: Evaluator) throws(TemplateError) {
    indent = arguments.value(1, "indent")?.integer
    if let indent, !(0...1000).contains(indent) { throw run.failure("tojson's indent must be 0 to 1000") }
    itemSeparator = indent == nil ? ", " : ","
    escapesNonASCII = arguments.value(0, "ensure_ascii")?.isTrue ?? false
    sortsKeys = arguments.value(3, "sort_keys")?.isTrue ?? false
    switch arguments.value(2, "separators") {
    case nil, Value.none?: break
    case .list(let list)?:
      guard list.items.count == 2, case .string(let item) = list.items[0], case .string(let key) = list.items[1] else {
        fallthrough
      }
      (itemSeparator, keySeparator) = (item, key)
    default: throw run.failure("tojson's separators must be two strings")
    }
  }
}

extension Evaluator {
  func json(_ value: Value, _ style: JSONStyle) throws(TemplateError) -> String {
    var result = ""
    try writeJSON(value, style, level: 0, &result)
    return result
  }

  private func writeJSON(
    _ value: Value, _ style: JSONStyle, level: Int, _ result: inout String
  ) throws(TemplateError) {
    try chargeText(bytes: 16)
    guard result.utf8.count <= Self.textLimit else { throw limit("\(Self.textLimit) bytes of text") }
    switch value {
    case .none: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .int(let value): result += String(value)
    case .float(let value):
      result += value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : "\(value)"
    case .string(let text): try writeJSON(text, style, &result)
    case .list(let list) where !list.isLazy:
      try writeJSON(list.items, "[", "]", style, level, &result) { item, result throws(TemplateError) in
        try writeJSON(item, style, level: level + 1, &result)
      }
    case .dict(let dict):
      var entries = dict.entries
      if style.sortsKeys {
        try charge(entries.count * 16)
        entries.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      }
      try writeJSON(entries, "{", "}", style, level, &result) { entry, result throws(TemplateError) in
        try writeJSON(entry.key, style, &result)
        result += style.keySeparator
        try writeJSON(entry.value, style, level: level + 1, &result)
      }
    case .list, .undefined, .namespace, .loop, .macro, .function:
      throw failure("\(value.typeName) has no JSON form")
    }
  }

  private func writeJSON<Item>(
    _ items: [Item], _ open: String, _ close: String, _ style: JSONStyle, _ level: Int, _ result: inout String,
    _ write: (Item, inout String) throws(TemplateError) -> Void
  ) throws(TemplateError) {
    func lineBreak(_ level: Int) {
      if let indent = style.indent { result += "\n" + String(repeating: " ", count: indent * level) }
    }
    result += open
    for (index, item) in items.enumerated() {
      if index > 0 { result += style.itemSeparator }
      lineBreak(level + 1)
      try write(item, &result)
    }
    if !items.isEmpty { lineBreak(level) }
    result += close
  }

  private func writeJSON(_ text: String, _ style: JSONStyle, _ result: inout String) throws(TemplateError) {
    try chargeText(bytes: text.utf8.count)
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
      case "\u{00}"..."\u{1F}": result += Self.escape(UInt16(scalar.value))
      case "\u{7F}"... where style.escapesNonASCII:
        for unit in String(scalar).utf16 { result += Self.escape(unit) }
      default: result.unicodeScalars.append(scalar)
      }
    }
    result += "\""
  }

  private static func escape(_ unit: UInt16) -> String {
    let hex = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
  }
}
