/// The tree of a template. Values only; `Parser` builds it, `Evaluator` walks it.

indirect enum Expression: Sendable {
  case literal(Value)
  case name(String)
  case list([Expression])
  case dict([(key: Expression, value: Expression)])
  /// `a.b`, and `a[b]`.
  case attribute(Expression, String)
  case item(Expression, Expression)
  case slice(Expression, from: Expression?, to: Expression?, step: Expression?)
  case call(Expression, Arguments)
  case filter(Expression, String, Arguments)
  case test(Expression, String, [Expression], negated: Bool)
  case not(Expression)
  case negative(Expression)
  case and(Expression, Expression)
  case or(Expression, Expression)
  case conditional(Expression, if: Expression, else: Expression?)
  case binary(BinaryOperator, Expression, Expression)
  case concat([Expression])
  /// `a < b < c`: each operator with its right side.
  case compare(Expression, [(CompareOperator, Expression)])
}

struct Arguments: Sendable {
  var positional: [Expression] = []
  var named: [(name: String, value: Expression)] = []
  /// `*list` and `**mapping`.
  var unpackedList: Expression?
  var unpackedMapping: Expression?

  var isEmpty: Bool { positional.isEmpty && named.isEmpty && unpackedList == nil && unpackedMapping == nil }
}

enum BinaryOperator: String, Sendable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case floorDivide = "//"
  case modulo = "%"
}

enum CompareOperator: String, Sendable {
  case equal = "=="
  case notEqual = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case isIn = "in"
  case isNotIn = "not in"
}

/// What `set` and `for` assign to.
enum Target: Sendable {
  case name(String)
  case names([String])
  /// `set ns.field`.
  case field(String, String)
}

struct Statement: Sendable {
  let line: Int
  let kind: Kind

  indirect enum Kind: Sendable {
    case text(String)
    case output(Expression)
    case set(Target, Expression)
    /// `{% set x %}…{% endset %}`.
    case setBlock(Target, [Statement])
    /// The branches in order; `else` is a branch whose condition is nil.
    case choose([(condition: Expression?, body: [Statement])])
    case loop(Loop)
    case macro(Macro)
    case breakLoop
    case continueLoop
  }

  /// For messages: `{% for %}`.
  var construct: String {
    switch kind {
    case .text: "text"
    case .output: "{{ … }}"
    case .set, .setBlock: "{% set %}"
    case .choose: "{% if %}"
    case .loop: "{% for %}"
    case .macro(let macro): "macro '\(macro.name)'"
    case .breakLoop: "{% break %}"
    case .continueLoop: "{% continue %}"
    }
  }
}

struct Loop: Sendable {
  let target: Target
  let sequence: Expression
  let filter: Expression?
  let body: [Statement]
  let otherwise: [Statement]
}

struct Macro: Sendable {
  let name: String
  let parameters: [(name: String, standard: Expression?)]
  let body: [Statement]
}
