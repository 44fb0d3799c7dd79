/// Tokens to statements. Expressions are in `ExpressionParser.swift`.

struct Parser {
  /// Bounds for hostile templates. Those of real models stay below a tenth of each.
  static let sourceLimit = 1 << 20
  static let nestingLimit = 40
  static let operatorLimit = 20_000
  static let chainLimit = 60

  private let tokens: [(token: Token, line: Int)]
  private var index = 0
  private var nesting = 0
  private var operators = 0
  /// Loops around the statement being read; `break` needs one.
  private var loops = 0
  /// The first filter or test in the expressions just read that is not known.
  var unknown: TemplateError?
  /// Directly inside an `if`.
  private var isSoft = false

  static func parse(_ source: String) throws(TemplateError) -> [Statement] {
    guard source.utf8.count <= sourceLimit else {
      throw .limit(line: 1, construct: "the whole template", limit: "\(sourceLimit) bytes")
    }
    var parser = Parser(tokens: try Lexer.tokens(of: source))
    return try parser.body(until: [], of: "the template")
  }

  private init(tokens: [(token: Token, line: Int)]) { self.tokens = tokens }

  // MARK: Reading tokens

  var token: Token { tokens[index].token }
  var line: Int { tokens[index].line }
  var following: Token { tokens[min(index + 1, tokens.count - 1)].token }

  mutating func skip() { index = min(index + 1, tokens.count - 1) }

  mutating func skip(_ wanted: Token) -> Bool {
    guard token == wanted else { return false }
    skip()
    return true
  }

  mutating func skip(symbol: String) -> Bool { skip(.symbol(symbol)) }
  mutating func skip(word: String) -> Bool { skip(.name(word)) }

  mutating func expect(_ wanted: Token, in construct: String) throws(TemplateError) {
    guard skip(wanted) else {
      throw .syntax(line: line, construct: construct, problem: "\(wanted.shown) expected, found \(token.shown)")
    }
  }

  mutating func expectName(in construct: String) throws(TemplateError) -> String {
    guard case .name(let name) = token else {
      throw .syntax(line: line, construct: construct, problem: "a name expected, found \(token.shown)")
    }
    skip()
    return name
  }

  /// Bounds how deep the parser, and later the evaluator, goes.
  mutating func nested<Result>(
    _ construct: String, _ read: (inout Parser) throws(TemplateError) -> Result
  ) throws(TemplateError) -> Result {
    guard nesting < Self.nestingLimit else {
      throw .limit(line: line, construct: construct, limit: "\(Self.nestingLimit) levels of nesting")
    }
    nesting += 1
    defer { nesting -= 1 }
    return try read(&self)
  }

  mutating func countOperator() throws(TemplateError) {
    operators += 1
    guard operators <= Self.operatorLimit else {
      throw .limit(line: line, construct: "the whole template", limit: "\(Self.operatorLimit) operators")
    }
  }

  /// Jinja refuses a template for filters and tests it does not know, but those directly inside an `if`, or in an
  /// expression with `if`, only when they are reached; templates use that for filters which not all programs have.
  private mutating func refuseUnknown() throws(TemplateError) {
    if let unknown, !isSoft { throw unknown }
    unknown = nil
  }

  private mutating func within<Result>(
    soft: Bool, _ read: (inout Parser) throws(TemplateError) -> Result
  ) throws(TemplateError) -> Result {
    let outside = isSoft
    isSoft = soft
    defer { isSoft = outside }
    let result = try read(&self)
    try refuseUnknown()
    return result
  }

  // MARK: Statements

  /// Statements up to a tag named in `ends`, whose name has been read when this returns; with no ends, to the end.
  private mutating func body(until ends: Set<String>, of construct: String) throws(TemplateError) -> [Statement] {
    let start = line
    var statements: [Statement] = []
    while true {
      let line = line
      switch token {
      case .text(let text):
        skip()
        statements.append(Statement(line: line, kind: .text(text)))
      case .outputBegin:
        skip()
        statements.append(Statement(line: line, kind: .output(try expression())))
        try expect(.outputEnd, in: "{{ … }}")
        try refuseUnknown()
      case .tagBegin:
        if case .name(let name) = following, ends.contains(name) {
          skip()
          return statements
        }
        skip()
        try tag(line: line, into: &statements)
        try refuseUnknown()
      default:
        guard ends.isEmpty else {
          throw .syntax(line: start, construct: construct, problem: "it is never closed")
        }
        return statements
      }
    }
  }

  private mutating func tag(line: Int, into statements: inout [Statement]) throws(TemplateError) {
    let name = try expectName(in: "{% … %}")
    let construct = "{% \(name) %}"
    switch name {
    case "if":
      statements.append(
        Statement(
          line: line,
          kind: try nested(construct) { p throws(TemplateError) in
            try p.within(soft: true) { p throws(TemplateError) in try p.choose() }
          }))
    case "for":
      statements.append(Statement(line: line, kind: try nested(construct) { p throws(TemplateError) in try p.loop() }))
    case "set":
      statements.append(Statement(line: line, kind: try nested(construct) { p throws(TemplateError) in try p.set() }))
    case "macro":
      statements.append(
        Statement(
          line: line,
          kind: try nested(construct) { p throws(TemplateError) in
            try p.within(soft: false) { p throws(TemplateError) in try p.macro() }
          }))
    case "break", "continue":
      guard loops > 0 else { throw .syntax(line: line, construct: construct, problem: "it is not inside a loop") }
      try expect(.tagEnd, in: construct)
      statements.append(Statement(line: line, kind: name == "break" ? .breakLoop : .continueLoop))
    case "generation":  // marks the model's words for training elsewhere; the text inside is plain text
      try expect(.tagEnd, in: construct)
      statements += try nested(construct) { p throws(TemplateError) in
        let inside = try p.body(until: ["endgeneration"], of: construct)
        try p.endTag()
        return inside
      }
    case "else", "elif", "endif", "endfor", "endset", "endmacro", "endgeneration":
      throw .syntax(line: line, construct: construct, problem: "nothing is open that it could belong to")
    default:
      throw .unsupported(line: line, construct: "the tag \(construct)")
    }
  }

  /// Reads the end tag `body` stopped at.
  private mutating func endTag() throws(TemplateError) {
    let name = try expectName(in: "{% … %}")
    try expect(.tagEnd, in: "{% \(name) %}")
  }

  private mutating func choose() throws(TemplateError) -> Statement.Kind {
    var branches: [(condition: Expression?, body: [Statement])] = []
    var condition: Expression? = try expression()
    while true {
      try expect(.tagEnd, in: "{% if %}")
      let isElse = condition == nil
      let inside = try body(until: isElse ? ["endif"] : ["elif", "else", "endif"], of: "{% if %}")
      branches.append((condition, inside))
      if skip(word: "elif") {
        condition = try expression()
      } else if skip(word: "else") {
        condition = nil
      } else {
        try endTag()
        return .choose(branches)
      }
    }
  }

  private mutating func loop() throws(TemplateError) -> Statement.Kind {
    let target = try target(in: "{% for %}")
    try expect(.name("in"), in: "{% for %}")
    let sequence = try expression(conditional: false)
    try refuseUnknown()
    return try within(soft: false) { p throws(TemplateError) in try p.loop(over: sequence, as: target) }
  }

  private mutating func loop(over sequence: Expression, as target: Target) throws(TemplateError) -> Statement.Kind {
    let filter = skip(word: "if") ? try expression() : nil
    if token == .name("recursive") { throw .unsupported(line: line, construct: "'recursive' in {% for %}") }
    try expect(.tagEnd, in: "{% for %}")
    loops += 1
    let inside = try body(until: ["else", "endfor"], of: "{% for %}")
    loops -= 1
    var otherwise: [Statement] = []
    if skip(word: "else") {
      try expect(.tagEnd, in: "{% else %}")
      otherwise = try body(until: ["endfor"], of: "{% for %}")
    }
    try endTag()
    return .loop(Loop(target: target, sequence: sequence, filter: filter, body: inside, otherwise: otherwise))
  }

  private mutating func set() throws(TemplateError) -> Statement.Kind {
    let target = try target(in: "{% set %}")
    if skip(symbol: "=") {
      let value = try tuple()
      try expect(.tagEnd, in: "{% set %}")
      return .set(target, value)
    }
    try expect(.tagEnd, in: "{% set %}")
    let inside = try within(soft: false) { p throws(TemplateError) in try p.body(until: ["endset"], of: "{% set %}") }
    try endTag()
    return .setBlock(target, inside)
  }

  private mutating func target(in construct: String) throws(TemplateError) -> Target {
    let isParenthesised = skip(symbol: "(")
    var names = [try expectName(in: construct)]
    if skip(symbol: ".") { return .field(names[0], try expectName(in: construct)) }
    while skip(symbol: ",") { names.append(try expectName(in: construct)) }
    if isParenthesised { try expect(.symbol(")"), in: construct) }
    return names.count == 1 ? .name(names[0]) : .names(names)
  }

  private mutating func macro() throws(TemplateError) -> Statement.Kind {
    let name = try expectName(in: "{% macro %}")
    let construct = "macro '\(name)'"
    try expect(.symbol("("), in: construct)
    var parameters: [(name: String, standard: Expression?)] = []
    while !skip(symbol: ")") {
      if !parameters.isEmpty { try expect(.symbol(","), in: construct) }
      let parameter = try expectName(in: construct)
      parameters.append((parameter, skip(symbol: "=") ? try expression() : nil))
    }
    try expect(.tagEnd, in: construct)
    let loopsOutside = loops
    loops = 0
    let inside = try body(until: ["endmacro"], of: construct)
    loops = loopsOutside
    try endTag()
    return .macro(Macro(name: name, parameters: parameters, body: inside))
  }
}
