/// The tests of the subset, `value is name`.

enum Predicates {
  static let names: Set<String> = Set([
    "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float",
    "boolean", "true", "false", "odd", "even", "lower", "upper", "callable",
  ]).union(comparisons.keys).union(["divisibleby"])

  private static let comparisons: [String: CompareOperator] = [
    "==": .equal, "eq": .equal, "equalto": .equal, "!=": .notEqual, "ne": .notEqual, "<": .less, "lt": .less,
    "lessthan": .less, "<=": .lessOrEqual, "le": .lessOrEqual, ">": .greater, "gt": .greater, "greaterthan": .greater,
    ">=": .greaterOrEqual, "ge": .greaterOrEqual, "in": .isIn,
  ]

  static func construct(_ name: String) -> String { "the test '\(name)'" }

  static func takesArgument(_ name: String) -> Bool { comparisons[name] != nil || name == "divisibleby" }

  static func holds(
    _ name: String, _ value: Value, _ arguments: [Value], _ run: Evaluator
  ) throws(TemplateError) -> Bool {
    if takesArgument(name) {
      guard let argument = arguments.first else { throw run.failure("the test '\(name)' needs an argument") }
      if let comparison = comparisons[name] { return try run.compare(comparison, value, argument) }
      guard let divisor = argument.integer, divisor != 0 else { throw run.failure("division by zero") }
      return try run.isEqual(run.binary(.modulo, value, .int(divisor)), .int(0))
    }
    guard names.contains(name) else { throw .unsupported(line: run.current.line, construct: construct(name)) }
    switch (name, value) {
    case ("defined", .undefined): return false
    case ("defined", _): return true
    case ("undefined", .undefined), ("none", .none), ("string", .string), ("mapping", .dict), ("boolean", .bool):
      return true
    case ("iterable", .string), ("iterable", .list), ("iterable", .dict), ("iterable", .undefined): return true
    case ("sequence", .string), ("sequence", .list), ("sequence", .dict), ("sequence", .undefined): return true
    case ("number", .int), ("number", .float), ("number", .bool), ("integer", .int), ("float", .float): return true
    case ("true", .bool(let value)): return value
    case ("false", .bool(let value)): return !value
    case ("callable", .macro), ("callable", .function): return true
    case ("odd", _), ("even", _):
      return try run.isEqual(run.binary(.modulo, value, .int(2)), .int(name == "odd" ? 1 : 0))
    case ("lower", .string(let text)): return text != text.uppercased() && text.isSame(as: text.lowercased())
    case ("upper", .string(let text)): return text != text.lowercased() && text.isSame(as: text.uppercased())
    default: return false
    }
  }
}
