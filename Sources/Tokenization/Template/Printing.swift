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
    case .list(let list) where !list.isLazy:
      return "[" + (try commaSeparated(list.items) { item throws(TemplateError) in try represented(item) }) + "]"
    case .dict(let dict):
      return "{"
        + (try commaSeparated(dict.entries) { entry throws(TemplateError) in
          try represented(.string(entry.key)) + ": " + represented(entry.value)
        }) + "}"
    case .list, .namespace, .loop, .macro, .function:
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
}
