import Foundation

/// Runs a parsed template. One evaluator is one rendering: it owns the variables, the output and the budget that keeps
/// any template from running long or growing large. Operators are in `Operators.swift`, calls in `Calls.swift`.

final class Evaluator {
  /// Bounds for hostile templates; a conversation of a million tokens stays well below them.
  static let workLimit = 5_000_000
  static let textLimit = 16 << 20
  static let rangeLimit = 100_000
  static let depthLimit = 150

  let date: Date
  /// Innermost last. A `for` body and a macro body have a scope of their own, an `if` has none.
  var scopes: [[String: Value]]
  private(set) var output = ""
  private var work = 0
  private var depth = 0
  private(set) var current = Statement(line: 1, kind: .text(""))

  /// What a statement tells the loop around it.
  enum Flow {
    case next
    case breakLoop
    case continueLoop
  }

  init(variables: [String: Value], date: Date) {
    scopes = [variables]
    self.date = date
  }

  // MARK: Errors and budget

  func failure(_ problem: String) -> TemplateError {
    .failed(line: current.line, construct: current.construct, problem: problem)
  }

  func limit(_ text: String) -> TemplateError {
    .limit(line: current.line, construct: current.construct, limit: text)
  }

  /// Counts steps; a step is one node of the tree, one item walked, or 16 bytes of text made.
  func charge(_ steps: Int = 1) throws(TemplateError) {
    work += steps
    guard work <= Self.workLimit else { throw limit("\(Self.workLimit) steps") }
  }

  /// Checks a text before it is made.
  func chargeText(bytes: Int) throws(TemplateError) {
    guard bytes <= Self.textLimit else { throw limit("\(Self.textLimit) bytes of text") }
    try charge(bytes / 16 + 1)
  }

  func makeList(_ items: [Value]) throws(TemplateError) -> Value {
    try charge(items.count + 1)
    let list = Value.List(items)
    guard list.nesting <= Value.nestingLimit else { throw limit("\(Value.nestingLimit) nested lists and mappings") }
    return .list(list)
  }

  func makeDict(_ entries: [(key: String, value: Value)]) throws(TemplateError) -> Value {
    var dict = Value.Dict()
    for (key, value) in entries {
      try charge(dict.entries.count + 1)
      dict.set(key, value)
    }
    guard dict.nesting <= Value.nestingLimit else { throw limit("\(Value.nestingLimit) nested lists and mappings") }
    return .dict(dict)
  }

  private func deeper<Result>(_ run: () throws(TemplateError) -> Result) throws(TemplateError) -> Result {
    guard depth < Self.depthLimit else { throw limit("\(Self.depthLimit) levels of recursion") }
    depth += 1
    defer { depth -= 1 }
    return try run()
  }

  // MARK: Statements

  @discardableResult
  func run(_ statements: [Statement]) throws(TemplateError) -> Flow {
    try deeper { () throws(TemplateError) in
      for statement in statements {
        try charge()
        let flow = try run(statement)
        if flow != .next { return flow }
      }
      return .next
    }
  }

  private func run(_ statement: Statement) throws(TemplateError) -> Flow {
    current = statement
    switch statement.kind {
    case .text(let text):
      try write(text)
    case .output(let expression):
      try write(text(of: evaluate(expression)))
    case .set(let target, let expression):
      try assign(evaluate(expression), to: target)
    case .setBlock(let target, let body):
      try assign(.string(captured { () throws(TemplateError) in _ = try run(body) }), to: target)
    case .choose(let branches):
      for branch in branches {
        current = statement
        if let condition = branch.condition, try !evaluate(condition).isTrue { continue }
        return try run(branch.body)
      }
    case .loop(let loop):
      return try run(loop, statement)
    case .macro(let macro):
      scopes[scopes.count - 1][macro.name] = .macro(macro)
    case .breakLoop:
      return .breakLoop
    case .continueLoop:
      return .continueLoop
    }
    return .next
  }

  private func write(_ text: String) throws(TemplateError) {
    try chargeText(bytes: text.utf8.count)
    guard output.utf8.count + text.utf8.count <= Self.textLimit else {
      throw limit("\(Self.textLimit) bytes of text")
    }
    output += text
  }

  /// What `body` writes, kept out of the output.
  private func captured(_ body: () throws(TemplateError) -> Void) throws(TemplateError) -> String {
    let outside = output
    output = ""
    defer { output = outside }
    try body()
    return output
  }

  private func run(_ loop: Loop, _ statement: Statement) throws(TemplateError) -> Flow {
    var items = try self.items(of: evaluate(loop.sequence))
    if let filter = loop.filter {
      var kept: [Value] = []
      for item in items {
        scopes.append([:])
        defer { scopes.removeLast() }
        try assign(item, to: loop.target)
        if try evaluate(filter).isTrue { kept.append(item) }
      }
      items = kept
    }
    if items.isEmpty { return try run(loop.otherwise) }
    for (index, item) in items.enumerated() {
      current = statement
      try charge()
      scopes.append(["loop": .loop(Value.LoopState(items: items, index: index))])
      defer { scopes.removeLast() }
      try assign(item, to: loop.target)
      if try run(loop.body) == .breakLoop { break }
    }
    return .next
  }

  private func assign(_ value: Value, to target: Target) throws(TemplateError) {
    switch target {
    case .name(let name):
      scopes[scopes.count - 1][name] = value
    case .names(let names):
      let parts = try items(of: value)
      guard parts.count == names.count else {
        throw failure("\(parts.count) values for \(names.count) names (\(names.joined(separator: ", ")))")
      }
      for (name, part) in zip(names, parts) { scopes[scopes.count - 1][name] = part }
    case .field(let name, let field):
      guard case .namespace(let namespace) = lookup(name) else {
        throw failure(
          "'\(name).\(field)' can be set only when '\(name)' is a namespace, it is \(lookup(name).typeName)")
      }
      guard value.nesting < Value.nestingLimit else {
        throw failure("\(value.typeName) cannot be kept in a namespace")
      }
      try charge(namespace.fields.entries.count + 1)
      namespace.fields.set(field, value)
    }
  }

  // MARK: Expressions

  func lookup(_ name: String) -> Value {
    for scope in scopes.reversed() {
      if let value = scope[name] { return value }
    }
    return Calls.functions.contains(name) ? .function(name) : .undefined(name)
  }

  func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
    try charge()
    return try deeper { () throws(TemplateError) in try evaluateNode(expression) }
  }

  private func evaluateNode(_ expression: Expression) throws(TemplateError) -> Value {
    switch expression {
    case .literal(let value): return value
    case .name(let name): return lookup(name)
    case .list(let items): return try makeList(evaluateAll(items))
    case .dict(let entries):
      var pairs: [(key: String, value: Value)] = []
      for entry in entries {
        guard case .string(let key) = try evaluate(entry.key) else { throw failure("a mapping's keys must be strings") }
        pairs.append((key, try evaluate(entry.value)))
      }
      return try makeDict(pairs)
    case .attribute(let base, let name): return try attribute(name, of: evaluate(base))
    case .item(let base, let index): return try item(evaluate(index), of: evaluate(base))
    case .slice(let base, let from, let to, let step):
      return try slice(evaluate(base), from: bound(from), to: bound(to), step: bound(step))
    case .call(let callee, let arguments): return try call(callee, arguments)
    case .filter(let base, let name, let arguments):
      return try Filters.apply(name, to: evaluate(base), evaluateArguments(arguments), self)
    case .test(let base, let name, let arguments, let negated):
      return .bool(try Predicates.holds(name, evaluate(base), evaluateAll(arguments), self) != negated)
    case .not(let operand): return .bool(try !evaluate(operand).isTrue)
    case .negative(let operand): return try negative(evaluate(operand))
    case .and(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? try evaluate(right) : value
    case .or(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? value : try evaluate(right)
    case .conditional(let value, let condition, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      if let otherwise { return try evaluate(otherwise) }
      return .undefined("the missing else")
    case .binary(let kind, let left, let right): return try binary(kind, evaluate(left), evaluate(right))
    case .concat(let parts):
      var result = ""
      for part in parts {
        let text = try text(of: evaluate(part))
        try chargeText(bytes: result.utf8.count + text.utf8.count)
        result += text
      }
      return .string(result)
    case .compare(let first, let rest):
      var left = try evaluate(first)
      for (kind, next) in rest {
        let right = try evaluate(next)
        if try !compare(kind, left, right) { return .bool(false) }
        left = right
      }
      return .bool(true)
    }
  }

  private func evaluateAll(_ expressions: [Expression]) throws(TemplateError) -> [Value] {
    var values: [Value] = []
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  func evaluateArguments(_ arguments: Arguments) throws(TemplateError) -> CallArguments {
    var result = CallArguments(positional: try evaluateAll(arguments.positional), named: [])
    for (name, value) in arguments.named { result.named.append((name, try evaluate(value))) }
    if let list = arguments.unpackedList { result.positional += try items(of: evaluate(list)) }
    if let mapping = arguments.unpackedMapping {
      guard case .dict(let dict) = try evaluate(mapping) else { throw failure("'**' needs a mapping") }
      result.named += dict.entries.map { ($0.key, $0.value) }
    }
    return result
  }

  private func bound(_ expression: Expression?) throws(TemplateError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let bound = value.integer else { throw failure("a slice needs integers, not \(value.typeName)") }
    return bound
  }

  /// Runs a macro in a scope of its own over the outermost one. Its text is its value.
  func callMacro(_ macro: Macro, _ arguments: CallArguments) throws(TemplateError) -> Value {
    guard arguments.positional.count <= macro.parameters.count else {
      throw failure("macro '\(macro.name)' takes \(macro.parameters.count) arguments")
    }
    let outside = scopes
    let statement = current
    defer {
      scopes = outside
      current = statement
    }
    scopes = [outside[0], [:]]
    for (index, parameter) in macro.parameters.enumerated() {
      let given = index < arguments.positional.count ? arguments.positional[index] : arguments[parameter.name]
      if let given {
        scopes[1][parameter.name] = given
      } else if let standard = parameter.standard {
        scopes[1][parameter.name] = try evaluate(standard)
      } else {
        scopes[1][parameter.name] = .undefined(parameter.name)
      }
    }
    return .string(try captured { () throws(TemplateError) in _ = try run(macro.body) })
  }
}
