/// Values as text: as Python prints them, and as JSON.

extension Evaluator {
  /// What `{{ value }}` writes.
  func text(of value: Value) throws(TemplateError) -> String {
    switch value {
    case .undefined: return ""
    case .string(let text): return text
    default: return try represented(value)
    }
  }

  /// Python's `repr`.
  private func represented(_ value: Value) throws(TemplateError) -> String {
    try charge()
    switch value {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let value): return String(value)
    case .float(let value): return Self.float(value)
    case .string(let text):
      let quote = text.utf8.contains(0x27) && !text.utf8.contains(0x22) ? "\"" : "'"
      return quote + escaped(text, quote: quote) + quote
    case .list(let list):
      return "[" + (try commaSeparated(list.items) { item throws(TemplateError) in try represented(item) }) + "]"
    case .dict(let dict):
      return "{"
        + (try commaSeparated(dict.entries) { entry throws(TemplateError) in
          try represented(.string(entry.key)) + ": " + represented(entry.value)
        }) + "}"
    case .namespace, .loop, .macro, .function:
      throw failure("\(value.typeName) cannot be printed")
    }
  }

  private func commaSeparated<Item>(
    _ items: [Item], _ show: (Item) throws(TemplateError) -> String
  ) throws(TemplateError) -> String {
    var result = ""
    for (index, item) in items.enumerated() {
      let next = try show(item)
      try chargeText(bytes: next.utf8.count + 2)
      result += (index > 0 ? ", " : "") + next
      guard result.utf8.count <= Self.textLimit else { throw limit("\(Self.textLimit) bytes of text") }
    }
    return result
  }

  private func escaped(_ text: String, quote: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "'" where quote == "'": result += "\\'"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Python's shortest form: `1.0`, `0.1`, `1e+16`.
  private static func float(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    return value.isInfinite ? (value < 0 ? "-inf" : "inf") : "\(value)"
  }

  // MARK: JSON

  /// As Hugging Face's `tojson`: Python's `json.dumps` with `ensure_ascii` off, and no escapes for HTML.
  func json(_ value: Value, indent: Int?) throws(TemplateError) -> String {
    if let indent, !(0...1000).contains(indent) { throw failure("tojson's indent must be 0 to 1000") }
    var result = ""
    try writeJSON(value, indent, level: 0, &result)
    return result
  }

  private func writeJSON(
    _ value: Value, _ indent: Int?, level: Int, _ result: inout String
  ) throws(TemplateError) {
    try chargeText(bytes: 16)
    guard result.utf8.count <= Self.textLimit else { throw limit("\(Self.textLimit) bytes of text") }
    switch value {
    case .none: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .int(let value): result += String(value)
    case .float(let value):
      result += value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : "\(value)"
    case .string(let text): try writeJSON(text, &result)
    case .list(let list):
      try writeJSON(list.items, "[", "]", indent, level, &result) { item, result throws(TemplateError) in
        try writeJSON(item, indent, level: level + 1, &result)
      }
    case .dict(let dict):
      try writeJSON(dict.entries, "{", "}", indent, level, &result) { entry, result throws(TemplateError) in
        try writeJSON(entry.key, &result)
        result += ": "
        try writeJSON(entry.value, indent, level: level + 1, &result)
      }
    case .undefined, .namespace, .loop, .macro, .function:
      throw failure("\(value.typeName) has no JSON form")
    }
  }

  private func writeJSON<Item>(
    _ items: [Item], _ open: String, _ close: String, _ indent: Int?, _ level: Int, _ result: inout String,
    _ write: (Item, inout String) throws(TemplateError) -> Void
  ) throws(TemplateError) {
    result += open
    for (index, item) in items.enumerated() {
      if index > 0 { result += indent == nil ? ", " : "," }
      if let indent { result += "\n" + String(repeating: " ", count: indent * (level + 1)) }
      try write(item, &result)
    }
    if let indent, !items.isEmpty { result += "\n" + String(repeating: " ", count: indent * level) }
    result += close
  }

  private func writeJSON(_ text: String, _ result: inout String) throws(TemplateError) {
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
      case "\u{00}"..."\u{1F}":
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    result += "\""
  }
}
