/// The filters of the subset, `value | name(arguments)`.

enum Filters {
  static let names: Set<String> = Set([
    "trim", "tojson", "length", "count", "upper", "lower", "capitalize", "title", "replace", "join", "first", "last",
    "default", "d", "list", "string", "int", "float", "abs", "items", "reverse", "map", "select", "reject",
    "selectattr", "rejectattr", "indent", "safe",
  ]).union(Ordering.names)

  static func apply(
    _ name: String, to value: Value, _ arguments: CallArguments, _ run: Evaluator
  ) throws(TemplateError) -> Value {
    switch name {
    case "default", "d":
      let useFalse = arguments.value(1, "boolean")?.isTrue ?? false
      if case .undefined = value { return arguments.value(0, "default_value") ?? .string("") }
      return useFalse && !value.isTrue ? arguments.value(0, "default_value") ?? .string("") : value
    case "length", "count": return .int(try length(of: value, run))
    case "tojson": return .string(try run.json(value, JSONStyle(arguments, run)))
    case "first": return try run.items(of: value).first ?? .undefined("the first item")
    case "last": return try run.items(of: value).last ?? .undefined("the last item")
    case "list": return try run.makeList(run.items(of: value))
    case "join":
      var parts = try run.items(of: value)
      if case .string(let path)? = arguments.value(1, "attribute") {
        parts = try mapped(parts) { part throws(TemplateError) in try run.part(path, of: part) }
      }
      return .string(try run.joined(parts, by: run.text(of: arguments.value(0, "d") ?? .string(""))))
    case "reverse":
      if case .string(let text) = value {
        return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
      }
      return try run.makeList(run.items(of: value).reversed())
    case "items":
      if case .undefined = value { return .list([]) }
      guard case .dict(let dict) = value else { throw run.failure("items needs a mapping, not \(value.typeName)") }
      return try run.makeList(run.pairs(of: dict))
    case "int", "float", "abs": return try number(name, value, arguments, run)
    case "map", "select", "reject", "selectattr", "rejectattr": return try walk(name, value, arguments, run)
    case "string", "safe": return .string(try run.text(of: value))
    case let name where Ordering.names.contains(name): return try Ordering.apply(name, to: value, arguments, run)
    case let name where !names.contains(name): throw .unsupported(line: run.current.line, construct: construct(name))
    default: return .string(try text(name, run.text(of: value), arguments, run))
    }
  }

  static func construct(_ name: String) -> String { "the filter '\(name)'" }

  private static func mapped(
    _ items: [Value], _ change: (Value) throws(TemplateError) -> Value
  ) throws(TemplateError) -> [Value] {
    var result: [Value] = []
    for item in items { result.append(try change(item)) }
    return result
  }

  private static func length(of value: Value, _ run: Evaluator) throws(TemplateError) -> Int {
    switch value {
    case .string(let text):
      try run.charge(text.utf8.count / 16 + 1)
      return text.unicodeScalars.count
    case .list(let list) where !list.isLazy: return list.items.count
    case .dict(let dict): return dict.entries.count
    case .undefined: return 0
    default: throw run.failure("\(value.typeName) has no length")
    }
  }

  private static func text(
    _ name: String, _ text: String, _ arguments: CallArguments, _ run: Evaluator
  ) throws(TemplateError) -> String {
    try run.chargeText(bytes: text.utf8.count)
    switch name {
    case "trim":
      guard case .string(let set)? = arguments.value(0, "chars") else { return text.stripped() }
      return text.stripped(set)
    case "upper": return text.uppercased()
    case "lower": return text.lowercased()
    case "capitalize": return text.capitalizedWord
    case "title":
      var result = ""
      var word = String.UnicodeScalarView()
      for scalar in text.unicodeScalars {
        if scalar.properties.isAlphabetic {
          word.append(scalar)
        } else {
          result += String(word).capitalizedWord
          word.removeAll()
          result.unicodeScalars.append(scalar)
        }
      }
      return result + String(word).capitalizedWord
    case "replace":
      guard case .string(let old)? = arguments.value(0, "old"), case .string(let new)? = arguments.value(1, "new")
      else {
        throw run.failure("replace needs two strings")
      }
      return try run.replacing(old, with: new, in: text, limit: arguments.value(2, "count")?.integer)
    default:  // indent
      let width = arguments.value(0, "width")?.integer ?? 4
      guard (0...1000).contains(width) else { throw run.failure("indent must be 0 to 1000") }
      let lines = text.split(on: "\n")
      try run.chargeText(bytes: text.utf8.count + lines.count * width)
      let space = String(repeating: " ", count: width)
      let isFirst = arguments.value(1, "first")?.isTrue ?? false
      return lines.enumerated().map { ($0 == 0 && !isFirst) || ($0 > 0 && $1.isEmpty) ? $1 : space + $1 }
        .joined(separator: "\n")
    }
  }

  private static func number(
    _ name: String, _ value: Value, _ arguments: CallArguments, _ run: Evaluator
  ) throws(TemplateError) -> Value {
    if name == "abs" {
      if let integer = value.integer, integer != .min { return .int(abs(integer)) }
      guard let number = value.number else { throw run.failure("abs needs a number, not \(value.typeName)") }
      return .float(abs(number))
    }
    var number = value.number
    if case .string(let text) = value {
      if name == "int", let integer = Int(text.stripped()) { return .int(integer) }
      number = Double(text.stripped())
    }
    if name == "float" { return number.map(Value.float) ?? arguments.value(0, "default") ?? .float(0) }
    if let integer = value.integer { return .int(integer) }
    return number.flatMap { Int(exactly: $0.rounded(.towardZero)) }.map(Value.int)
      ?? arguments.value(0, "default") ?? .int(0)
  }

  /// The filters that apply a filter or a test to each item.
  private static func walk(
    _ name: String, _ value: Value, _ arguments: CallArguments, _ run: Evaluator
  ) throws(TemplateError) -> Value {
    let items = value.isTrue ? try run.items(of: value) : []
    if name == "map", case .string(let path)? = arguments["attribute"] {
      return try lazy(
        mapped(items) { item throws(TemplateError) in try run.part(path, of: item, default: arguments["default"]) }, run
      )
    }
    var rest = arguments
    func next() throws(TemplateError) -> String? {
      guard !rest.positional.isEmpty else { return nil }
      guard case .string(let text) = rest.positional.removeFirst() else { throw run.failure("\(name) needs names") }
      return text
    }
    if name == "map" {
      guard let filter = try next(), names.contains(filter) else { throw run.failure("map needs the name of a filter") }
      return try lazy(mapped(items) { item throws(TemplateError) in try apply(filter, to: item, rest, run) }, run)
    }
    let attribute = name.hasSuffix("attr") ? try next() : nil
    let predicate = try next()
    if let predicate, !Predicates.names.contains(predicate) {
      throw .unsupported(line: run.current.line, construct: Predicates.construct(predicate))
    }
    var kept: [Value] = []
    for item in items {
      let subject = try attribute.map { path throws(TemplateError) in try run.part(path, of: item) } ?? item
      let holds = try predicate.map { test throws(TemplateError) in
        try Predicates.holds(test, subject, rest.positional, run)
      }
      if (holds ?? subject.isTrue) == name.hasPrefix("select") { kept.append(item) }
    }
    return try lazy(kept, run)
  }

  private static func lazy(_ items: [Value], _ run: Evaluator) throws(TemplateError) -> Value {
    guard case .list(let list) = try run.makeList(items) else { return .none }
    return .list(Value.List(list.items, isLazy: true))
  }
}

extension String {
  /// First scalar in title case, the rest in lower case.
  fileprivate var capitalizedWord: String {
    guard let first = unicodeScalars.first else { return self }
    return first.properties.titlecaseMapping + String(unicodeScalars.dropFirst()).lowercased()
  }
}
