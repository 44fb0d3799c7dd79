/// Calls: the few global functions, macros, and the methods of strings and mappings.

struct CallArguments {
  var positional: [Value]
  var named: [(name: String, value: Value)]

  subscript(name: String) -> Value? { named.first { $0.name == name }?.value }

  /// The argument at a position, or by its name.
  func value(_ index: Int, _ name: String) -> Value? {
    index < positional.count ? positional[index] : self[name]
  }
}

enum Calls {
  static let functions: Set<String> = ["range", "namespace", "dict", "raise_exception", "strftime_now"]
}

extension Evaluator {
  func call(_ callee: Expression, _ arguments: Arguments) throws(TemplateError) -> Value {
    if case .attribute(let base, let name) = callee {
      return try callMethod(name, of: evaluate(base), evaluateArguments(arguments))
    }
    switch try evaluate(callee) {
    case .function(let name): return try callFunction(name, evaluateArguments(arguments))
    case .macro(let macro): return try callMacro(macro, evaluateArguments(arguments))
    case let other: throw failure("\(other.typeName) cannot be called")
    }
  }

  private func callFunction(_ name: String, _ arguments: CallArguments) throws(TemplateError) -> Value {
    switch name {
    case "range": return try range(arguments)
    case "namespace":
      let namespace = Value.Namespace()
      for (field, value) in arguments.named {
        guard value.nesting < Value.nestingLimit else {
          throw failure("\(value.typeName) cannot be kept in a namespace")
        }
        namespace.fields.set(field, value)
      }
      return .namespace(namespace)
    case "dict": return try makeDict(arguments.named.map { ($0.name, $0.value) })
    case "raise_exception":
      throw .raised(line: current.line, message: try text(of: arguments.value(0, "message") ?? .string("")))
    default:  // strftime_now
      guard case .string(let format)? = arguments.value(0, "format") else {
        throw failure("strftime_now needs a format")
      }
      return .string(date.formatted(strftime: format))
    }
  }

  private func range(_ arguments: CallArguments) throws(TemplateError) -> Value {
    let numbers = arguments.positional.compactMap(\.integer)
    guard numbers.count == arguments.positional.count, (1...3).contains(numbers.count) else {
      throw failure("range needs one to three integers")
    }
    let (from, to) = numbers.count == 1 ? (0, numbers[0]) : (numbers[0], numbers[1])
    let step = numbers.count == 3 ? numbers[2] : 1
    guard step != 0 else { throw failure("range's step must not be 0") }
    // In floating point, so that no bound can overflow.
    let count = ((Double(to) - Double(from)) / Double(step)).rounded(.up)
    guard count <= Double(Self.rangeLimit) else { throw limit("\(Self.rangeLimit) numbers in a range") }
    return try makeList(stride(from: from, to: to, by: step).map(Value.int))
  }

  private func callMethod(
    _ name: String, of value: Value, _ arguments: CallArguments
  ) throws(TemplateError) -> Value {
    switch value {
    case .string(let text):
      return try callStringMethod(name, text, arguments)
    case .dict(let dict):
      try charge(dict.entries.count + 1)
      switch name {
      case "items": return try makeList(pairs(of: dict))
      case "keys": return try makeList(dict.entries.map { .string($0.key) })
      case "values": return try makeList(dict.entries.map(\.value))
      case "get":
        guard case .string(let key)? = arguments.value(0, "key") else { return arguments.value(1, "default") ?? .none }
        return dict[key] ?? arguments.value(1, "default") ?? .none
      default: break
      }
    case .loop(let state) where name == "cycle":
      guard !arguments.positional.isEmpty else { throw failure("loop.cycle needs arguments") }
      return arguments.positional[state.index % arguments.positional.count]
    case .undefined(let base):
      throw failure("'\(base)' is undefined, so it has no '\(name)'")
    default: break
    }
    if case .macro(let macro) = try attribute(name, of: value) { return try callMacro(macro, arguments) }
    throw .unsupported(line: current.line, construct: "the method '\(name)' of \(value.typeName)")
  }

  func pairs(of dict: Value.Dict) throws(TemplateError) -> [Value] {
    var pairs: [Value] = []
    for (key, value) in dict.entries { pairs.append(try makeList([.string(key), value])) }
    return pairs
  }

  private func callStringMethod(
    _ name: String, _ text: String, _ arguments: CallArguments
  ) throws(TemplateError) -> Value {
    try chargeText(bytes: text.utf8.count)
    func string(_ index: Int, _ name: String) throws(TemplateError) -> String? {
      switch arguments.value(index, name) {
      case nil, Value.none?: return nil
      case .string(let given)?: return given
      case let other?: throw failure("a string expected, found \(other.typeName)")
      }
    }
    func needed(_ index: Int) throws(TemplateError) -> String {
      guard let given = try string(index, "") else { throw failure("'.\(name)()' needs \(index + 1) arguments") }
      return given
    }
    switch name {
    case "strip": return .string(text.stripped(try string(0, "chars")))
    case "lstrip": return .string(text.stripped(try string(0, "chars"), right: false))
    case "rstrip": return .string(text.stripped(try string(0, "chars"), left: false))
    case "upper", "lower", "capitalize", "title": return try Filters.apply(name, to: .string(text), arguments, self)
    case "startswith", "endswith":
      guard let wanted = arguments.positional.first else { throw failure("'.\(name)()' needs an argument") }
      var choices = [wanted]
      if case .list(let several) = wanted { choices = several.items }
      for case .string(let part) in choices
      where name == "startswith" ? text.hasBytePrefix(part) : text.hasByteSuffix(part) {
        return .bool(true)
      }
      return .bool(false)
    case "split":
      let limit = arguments.value(1, "maxsplit")?.integer ?? -1
      let parts = try string(0, "sep").map { text.split(on: $0, limit: limit < 0 ? .max : limit) }
      return try makeList((parts ?? text.words(limit: limit < 0 ? .max : limit)).map(Value.string))
    case "splitlines":
      var lines = text.split(on: "\n")
      if lines.last == "" { lines.removeLast() }
      return try makeList(lines.map { .string($0.hasByteSuffix("\r") ? $0.stripped("\r", left: false) : $0) })
    case "replace":
      return .string(try replacing(needed(0), with: needed(1), in: text, limit: arguments.value(2, "count")?.integer))
    case "find":
      guard let start = text.ranges(ofBytes: try needed(0), limit: 1).first?.lowerBound else { return .int(-1) }
      return .int(String(decoding: Array(text.utf8)[..<start], as: UTF8.self).unicodeScalars.count)
    case "count": return .int(text.ranges(ofBytes: try needed(0)).count)
    case "format": return .string(try formatted(text, arguments))
    case "join":
      let parts = try items(of: arguments.value(0, "iterable") ?? .undefined("the argument of join"))
      return .string(try joined(parts, by: text))
    case "isdigit":
      return .bool(!text.isEmpty && text.unicodeScalars.allSatisfy { $0.properties.generalCategory == .decimalNumber })
    default:
      throw .unsupported(line: current.line, construct: "the method '\(name)' of a string")
    }
  }

  func replacing(_ old: String, with new: String, in text: String, limit: Int?) throws(TemplateError) -> String {
    guard !old.utf8.isEmpty else { throw failure("the text to replace is empty") }
    let parts = text.split(on: old, limit: limit.map { $0 < 0 ? .max : $0 } ?? .max)
    let (grown, overflow) = (parts.count - 1).multipliedReportingOverflow(by: new.utf8.count)
    try chargeText(bytes: overflow ? Self.textLimit + 1 : max(text.utf8.count, grown))
    return parts.joined(separator: new)
  }

  /// Python's `str.format` with fields that are empty, a position or a name.
  private func formatted(_ text: String, _ arguments: CallArguments) throws(TemplateError) -> String {
    var result = ""
    var next = 0
    var rest = text.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      if scalar == "{" || scalar == "}", rest.first == scalar {
        rest.removeFirst()
        result.unicodeScalars.append(scalar)
      } else if scalar == "{", let end = rest.firstIndex(of: "}") {
        let field = String(rest[..<end])
        rest = rest[rest.index(after: end)...]
        guard field.unicodeScalars.allSatisfy({ $0 == "_" || $0.properties.isAlphabetic || ("0"..."9").contains($0) })
        else {
          throw .unsupported(line: current.line, construct: "the field '{\(field)}' of '.format()'")
        }
        let position = field.isEmpty ? next : Int(field)
        if field.isEmpty { next += 1 }
        let given = position.map { arguments.positional.indices.contains($0) ? arguments.positional[$0] : nil }
        guard let value = given ?? arguments[field] else { throw failure("'.format()' has nothing for '{\(field)}'") }
        result += try self.text(of: value)
      } else if scalar == "{" || scalar == "}" {
        throw failure("'.format()' found a single '\(scalar)'")
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    try chargeText(bytes: result.utf8.count)
    return result
  }

  func joined(_ parts: [Value], by separator: String) throws(TemplateError) -> String {
    var result = ""
    for (index, part) in parts.enumerated() {
      let next = try text(of: part)
      try charge(next.utf8.count / 16 + separator.utf8.count / 16 + 1)
      if index > 0 { result += separator }
      result += next
      guard result.utf8.count <= Self.textLimit else { throw limit("\(Self.textLimit) bytes of text") }
    }
    return result
  }
}

extension String {
  /// Python's `split()` without a separator: runs of white space part words.
  func words(limit: Int) -> [String] {
    var words: [String] = []
    var rest = stripped(right: false)
    while !rest.isEmpty {
      let scalars = rest.unicodeScalars
      let end = scalars.firstIndex(where: Self.isPythonSpace) ?? scalars.endIndex
      if words.count == limit {
        words.append(rest)
        break
      }
      words.append(String(scalars[..<end]))
      rest = String(scalars[end...]).stripped(right: false)
    }
    return words
  }
}
