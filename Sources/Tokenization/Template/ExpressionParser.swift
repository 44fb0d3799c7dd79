/// Expressions, with the precedence of Jinja: `if else`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`,
/// unary minus, then filters and tests, then `.`, `[]` and calls.

extension Parser {
  /// - Parameter conditional: `a if b else c` is read as one expression; off after `for … in`, where `if` filters.
  mutating func expression(conditional: Bool = true) throws(TemplateError) -> Expression {
    try countOperator()
    let unknownBefore = unknown
    return try nested("an expression") { p throws(TemplateError) in
      var value = try p.or()
      while conditional, p.skip(word: "if") {
        let condition = try p.or()
        value = .conditional(value, if: condition, else: p.skip(word: "else") ? try p.expression() : nil)
        p.unknown = unknownBefore
      }
      return value
    }
  }

  /// One expression, or several with commas between them as a list.
  mutating func tuple() throws(TemplateError) -> Expression {
    let first = try expression()
    guard token == .symbol(",") else { return first }
    var items = [first]
    while skip(symbol: ",") {
      if token == .tagEnd || token == .symbol(")") { break }
      items.append(try expression())
    }
    return .list(items)
  }

  /// A chain of operators of one level, leaning left; its length is the depth of the tree.
  private mutating func chain(
    _ next: (inout Parser) throws(TemplateError) -> Expression,
    _ step: (inout Parser, Expression) throws(TemplateError) -> Expression?
  ) throws(TemplateError) -> Expression {
    var value = try next(&self)
    var length = 0
    while let longer = try step(&self, value) {
      value = longer
      length += 1
      try countOperator()
      guard length <= Self.chainLimit else {
        throw .limit(line: line, construct: "an expression", limit: "\(Self.chainLimit) chained operators")
      }
    }
    return value
  }

  private mutating func or() throws(TemplateError) -> Expression {
    try chain { p throws(TemplateError) in
      try p.and()
    } _: { p, left throws(TemplateError) in
      p.skip(word: "or") ? .or(left, try p.and()) : nil
    }
  }

  private mutating func and() throws(TemplateError) -> Expression {
    try chain { p throws(TemplateError) in
      try p.not()
    } _: { p, left throws(TemplateError) in
      p.skip(word: "and") ? .and(left, try p.not()) : nil
    }
  }

  private mutating func not() throws(TemplateError) -> Expression {
    guard skip(word: "not") else { return try comparison() }
    return try nested("'not'") { p throws(TemplateError) in .not(try p.not()) }
  }

  private mutating func comparison() throws(TemplateError) -> Expression {
    let first = try sum()
    var rest: [(CompareOperator, Expression)] = []
    while let found = compareOperator() {
      try countOperator()
      rest.append((found, try sum()))
    }
    return rest.isEmpty ? first : .compare(first, rest)
  }

  private mutating func compareOperator() -> CompareOperator? {
    if case .symbol(let symbol) = token, let found = CompareOperator(rawValue: symbol) {
      skip()
      return found
    }
    if skip(word: "in") { return .isIn }
    guard token == .name("not"), following == .name("in") else { return nil }
    skip()
    skip()
    return .isNotIn
  }

  private mutating func sum() throws(TemplateError) -> Expression {
    try chain { p throws(TemplateError) in
      try p.concatenation()
    } _: { p, left throws(TemplateError) in
      guard let found = p.binaryOperator(["+", "-"]) else { return nil }
      return .binary(found, left, try p.concatenation())
    }
  }

  private mutating func concatenation() throws(TemplateError) -> Expression {
    var parts = [try product()]
    while skip(symbol: "~") {
      try countOperator()
      parts.append(try product())
    }
    return parts.count == 1 ? parts[0] : .concat(parts)
  }

  private mutating func product() throws(TemplateError) -> Expression {
    try chain { p throws(TemplateError) in
      try p.unary()
    } _: { p, left throws(TemplateError) in
      guard let found = p.binaryOperator(["*", "/", "//", "%"]) else { return nil }
      return .binary(found, left, try p.unary())
    }
  }

  private mutating func binaryOperator(_ symbols: Set<String>) -> BinaryOperator? {
    guard case .symbol(let symbol) = token, symbols.contains(symbol) else { return nil }
    skip()
    return BinaryOperator(rawValue: symbol)
  }

  private mutating func unary(filters: Bool = true) throws(TemplateError) -> Expression {
    if token == .symbol("**") { throw .unsupported(line: line, construct: "the operator '**'") }
    return try chain { p throws(TemplateError) in
      if p.skip(symbol: "-") {
        return try p.nested("'-'") { p throws(TemplateError) in .negative(try p.unary(filters: false)) }
      }
      return try p.postfix()
    } _: { p, value throws(TemplateError) in
      filters ? try p.filterOrTest(on: value) : nil
    }
  }

  // MARK: Filters and tests

  private mutating func filterOrTest(on value: Expression) throws(TemplateError) -> Expression? {
    if skip(symbol: "|") {
      let name = try expectName(in: "a filter")
      if !Filters.names.contains(name) {
        unknown = unknown ?? .unsupported(line: line, construct: Filters.construct(name))
      }
      return .filter(value, name, token == .symbol("(") ? try arguments() : Arguments())
    }
    guard skip(word: "is") else { return nil }
    let negated = skip(word: "not")
    let name = try testName()
    if !Predicates.names.contains(name) {
      unknown = unknown ?? .unsupported(line: line, construct: Predicates.construct(name))
    }
    var given: [Expression] = []
    if token == .symbol("(") {
      given = try arguments().positional
    } else if Predicates.takesArgument(name) {
      given = [try postfix()]
    }
    return .test(value, name, given, negated: negated)
  }

  private mutating func testName() throws(TemplateError) -> String {
    if case .symbol(let symbol) = token, CompareOperator(rawValue: symbol) != nil {
      skip()
      return symbol
    }
    return try expectName(in: "a test")
  }

  // MARK: Attributes, subscripts, calls

  private mutating func postfix() throws(TemplateError) -> Expression {
    try chain { p throws(TemplateError) in
      try p.primary()
    } _: { p, value throws(TemplateError) in
      if p.skip(symbol: ".") {
        guard case .int(let index) = p.token else { return .attribute(value, try p.expectName(in: "'.'")) }
        p.skip()
        return .item(value, .literal(.int(index)))
      }
      if p.skip(symbol: "[") { return try p.subscripted(value) }
      return p.token == .symbol("(") ? .call(value, try p.arguments()) : nil
    }
  }

  private mutating func subscripted(_ value: Expression) throws(TemplateError) -> Expression {
    var bounds: [Expression?] = [nil]
    while !skip(symbol: "]") {
      if skip(symbol: ":") {
        bounds.append(nil)
      } else {
        bounds[bounds.count - 1] = try expression()
        guard token == .symbol(":") || token == .symbol("]") else {
          throw .syntax(line: line, construct: "a subscript", problem: "']' expected, found \(token.shown)")
        }
      }
    }
    switch bounds.count {
    case 1:
      guard let index = bounds[0] else { throw .syntax(line: line, construct: "a subscript", problem: "it is empty") }
      return .item(value, index)
    case 2: return .slice(value, from: bounds[0], to: bounds[1], step: nil)
    case 3: return .slice(value, from: bounds[0], to: bounds[1], step: bounds[2])
    default: throw .syntax(line: line, construct: "a slice", problem: "it has more than three parts")
    }
  }

  private mutating func arguments() throws(TemplateError) -> Arguments {
    try expect(.symbol("("), in: "a call")
    var result = Arguments()
    while !skip(symbol: ")") {
      if !result.isEmpty { try expect(.symbol(","), in: "a call") }
      if skip(symbol: ")") { break }
      if token == .symbol("*") || token == .symbol("**") {
        let isList = token == .symbol("*")
        guard result.unpackedMapping == nil, !isList || result.unpackedList == nil else {
          throw .syntax(line: line, construct: "a call", problem: "\(token.shown) is in the wrong place")
        }
        skip()
        if isList { result.unpackedList = try expression() } else { result.unpackedMapping = try expression() }
        continue
      }
      guard result.unpackedMapping == nil else {
        throw .syntax(line: line, construct: "a call", problem: "nothing may follow '**'")
      }
      if case .name(let name) = token, following == .symbol("=") {
        skip()
        skip()
        result.named.append((name, try expression()))
      } else {
        guard result.named.isEmpty, result.unpackedList == nil else {
          throw .syntax(
            line: line, construct: "a call", problem: "an argument without a name follows one with a name or '*'")
        }
        result.positional.append(try expression())
      }
    }
    return result
  }

  private mutating func primary() throws(TemplateError) -> Expression {
    let found = token
    let line = line
    skip()
    switch found {
    case .name(let name):
      switch name {
      case "true", "True": return .literal(.bool(true))
      case "false", "False": return .literal(.bool(false))
      case "none", "None": return .literal(.none)
      default: return .name(name)
      }
    case .int(let value): return .literal(.int(value))
    case .float(let value): return .literal(.float(value))
    case .string(var text):
      while case .string(let more) = token {  // neighbouring strings are one string
        text += more
        skip()
      }
      return .literal(.string(text))
    case .symbol("("):
      if skip(symbol: ")") { return .list([]) }
      let inside = try tuple()
      try expect(.symbol(")"), in: "parentheses")
      return inside
    case .symbol("["): return .list(try items(until: "]") { p throws(TemplateError) in try p.expression() })
    case .symbol("{"):
      return .dict(
        try items(until: "}") { p throws(TemplateError) in
          let key = try p.expression()
          try p.expect(.symbol(":"), in: "a mapping")
          return (key, try p.expression())
        })
    default:
      throw .syntax(line: line, construct: "an expression", problem: "a value expected, found \(found.shown)")
    }
  }

  private mutating func items<Item>(
    until close: String, _ read: (inout Parser) throws(TemplateError) -> Item
  ) throws(TemplateError) -> [Item] {
    var items: [Item] = []
    while !skip(symbol: close) {
      if !items.isEmpty {
        try expect(.symbol(","), in: "a list or mapping")
        if skip(symbol: close) { break }
      }
      items.append(try read(&self))
    }
    return items
  }
}
