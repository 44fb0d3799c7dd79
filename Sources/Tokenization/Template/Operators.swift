/// Operators, attributes and subscripts on values, with Python's meaning.

extension Evaluator {
  // MARK: Arithmetic

  func negative(_ value: Value) throws(TemplateError) -> Value {
    if let integer = value.integer, integer != .min { return .int(-integer) }
    if let number = value.number { return .float(-number) }
    throw failure("\(value.typeName) has no negative")
  }

  func binary(_ kind: BinaryOperator, _ left: Value, _ right: Value) throws(TemplateError) -> Value {
    switch (kind, left, right) {
    case (.add, .string(let a), .string(let b)):
      try chargeText(bytes: a.utf8.count + b.utf8.count)
      return .string(a + b)
    case (.add, .list(let a), .list(let b)):
      try charge(a.items.count + b.items.count)
      return try makeList(a.items + b.items)
    case (.multiply, .string(let text), .int(let count)), (.multiply, .int(let count), .string(let text)):
      let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: max(count, 0))
      try chargeText(bytes: overflow ? Self.textLimit + 1 : bytes)
      return .string(String(repeating: text, count: max(count, 0)))
    default:
      if let a = left.integer, let b = right.integer, kind != .divide { return try integers(kind, a, b) }
      if let a = left.number, let b = right.number { return try floats(kind, a, b) }
      throw failure("'\(kind.rawValue)' does not work on \(left.typeName) and \(right.typeName)")
    }
  }

  private func integers(_ kind: BinaryOperator, _ a: Int, _ b: Int) throws(TemplateError) -> Value {
    if b == 0, kind == .floorDivide || kind == .modulo { throw failure("division by zero") }
    let (result, overflow): (Int, Bool)
    switch kind {
    case .add: (result, overflow) = a.addingReportingOverflow(b)
    case .subtract: (result, overflow) = a.subtractingReportingOverflow(b)
    case .multiply: (result, overflow) = a.multipliedReportingOverflow(by: b)
    case .divide, .floorDivide:
      let (quotient, tooLarge) = a.dividedReportingOverflow(by: b)
      // Python rounds down, Swift towards zero.
      (result, overflow) = (tooLarge || quotient * b == a || (a < 0) == (b < 0) ? quotient : quotient - 1, tooLarge)
    case .modulo:
      let rest = b == -1 ? 0 : a % b
      (result, overflow) = (rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest, false)
    }
    guard !overflow else { throw failure("\(a) \(kind.rawValue) \(b) is too large") }
    return .int(result)
  }

  private func floats(_ kind: BinaryOperator, _ a: Double, _ b: Double) throws(TemplateError) -> Value {
    if b == 0, [.divide, .floorDivide, .modulo].contains(kind) { throw failure("division by zero") }
    switch kind {
    case .add: return .float(a + b)
    case .subtract: return .float(a - b)
    case .multiply: return .float(a * b)
    case .divide: return .float(a / b)
    case .floorDivide: return .float((a / b).rounded(.down))
    case .modulo: return .float(a - (a / b).rounded(.down) * b)
    }
  }

  // MARK: Comparison

  func compare(_ kind: CompareOperator, _ left: Value, _ right: Value) throws(TemplateError) -> Bool {
    switch kind {
    case .equal: try isEqual(left, right)
    case .notEqual: try !isEqual(left, right)
    case .less: try isLess(left, right)
    case .greater: try isLess(right, left)
    case .lessOrEqual: try !isLess(right, left)
    case .greaterOrEqual: try !isLess(left, right)
    case .isIn: try contains(right, left)
    case .isNotIn: try !contains(right, left)
    }
  }

  func isEqual(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
    try charge()
    switch (left, right) {
    case (.string(let a), .string(let b)):
      return a.isSame(as: b)
    case (.list(let a), .list(let b)):
      guard a.items.count == b.items.count else { return false }
      for (x, y) in zip(a.items, b.items) where try !isEqual(x, y) { return false }
      return true
    case (.dict(let a), .dict(let b)):
      guard a.entries.count == b.entries.count else { return false }
      for (key, value) in a.entries {
        try charge(b.entries.count)
        guard let other = b[key], try isEqual(value, other) else { return false }
      }
      return true
    case (.none, .none), (.undefined, .undefined):
      return true
    default:
      guard let a = left.number, let b = right.number else { return false }
      return a == b
    }
  }

  func isLess(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
    if let a = left.number, let b = right.number { return a < b }
    if case .string(let a) = left, case .string(let b) = right { return a.utf8.lexicographicallyPrecedes(b.utf8) }
    throw failure("\(left.typeName) and \(right.typeName) have no order")
  }

  func contains(_ container: Value, _ value: Value) throws(TemplateError) -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let part) = value else { throw failure("only a string can be in a string") }
      try charge(text.utf8.count / 16 + 1)
      return part.utf8.isEmpty || !text.ranges(ofBytes: part, limit: 1).isEmpty
    case .list(let list):
      for item in list.items where try isEqual(item, value) { return true }
      return false
    case .dict(let dict):
      try charge(dict.entries.count)
      guard case .string(let key) = value else { return false }
      return dict[key] != nil
    case .undefined:
      return false
    default:
      throw failure("nothing can be in \(container.typeName)")
    }
  }

  // MARK: Parts

  /// What a loop or filter walks: items, keys of a mapping, characters of a string.
  func items(of value: Value) throws(TemplateError) -> [Value] {
    switch value {
    case .list(let list): return list.items
    case .dict(let dict): return dict.entries.map { .string($0.key) }
    case .string(let text):
      try charge(text.utf8.count)
      return text.unicodeScalars.map { .string(String($0)) }
    case .undefined: return []
    default: throw failure("\(value.typeName) cannot be walked")
    }
  }

  /// What a path such as `function.name` or `0.text` leads to, for filters that take one.
  func part(_ path: String, of value: Value, default standard: Value? = nil) throws(TemplateError) -> Value {
    var value = value
    for step in path.split(on: ".") {
      value = try item(Int(step).map(Value.int) ?? .string(step), of: value)
      if let standard, case .undefined = value { value = standard }
    }
    return value
  }

  func attribute(_ name: String, of value: Value) throws(TemplateError) -> Value {
    switch value {
    case .dict(let dict): return dict[name] ?? .undefined(name)
    case .namespace(let namespace): return namespace.fields[name] ?? .undefined(name)
    case .loop(let state): return state.attribute(name) ?? .undefined("loop.\(name)")
    case .undefined(let base): throw failure("'\(base)' is undefined, so it has no '\(name)'")
    default: return .undefined(name)
    }
  }

  func item(_ index: Value, of value: Value) throws(TemplateError) -> Value {
    if case .string(let key) = index { return try attribute(key, of: value) }
    if case .undefined(let base) = value { throw failure("'\(base)' is undefined, so it has no items") }
    guard let position = index.integer else { return .undefined("the item \(index.typeName)") }
    switch value {
    case .list(let list) where !list.isLazy:
      let at = position < 0 ? position + list.items.count : position
      return list.items.indices.contains(at) ? list.items[at] : .undefined("item \(position)")
    case .string(let text):
      try charge(text.utf8.count / 16 + 1)
      let scalars = Array(text.unicodeScalars)
      let at = position < 0 ? position + scalars.count : position
      return scalars.indices.contains(at) ? .string(String(scalars[at])) : .undefined("item \(position)")
    default:
      return .undefined("item \(position)")
    }
  }

  func slice(_ value: Value, from: Int?, to: Int?, step: Int?) throws(TemplateError) -> Value {
    if case .string(let text) = value {
      try chargeText(bytes: text.utf8.count)
      let scalars = Array(text.unicodeScalars)
      let kept = try indices(scalars.count, from, to, step ?? 1).map { scalars[$0] }
      return .string(String(String.UnicodeScalarView(kept)))
    }
    if case .undefined(let name) = value { throw failure("'\(name)' is undefined, so it has no items") }
    guard case .list(let list) = value, !list.isLazy else { throw failure("\(value.typeName) cannot be sliced") }
    return try makeList(indices(list.items.count, from, to, step ?? 1).map { list.items[$0] })
  }

  /// Python's slice: negative bounds count from the end, and every bound is clamped.
  private func indices(_ count: Int, _ from: Int?, _ to: Int?, _ step: Int) throws(TemplateError) -> [Int] {
    guard step != 0 else { throw failure("a slice's step must not be 0") }
    let step = max(min(step, count + 1), -count - 1)
    func clamp(_ bound: Int, _ low: Int, _ high: Int) -> Int { min(max(bound < 0 ? bound + count : bound, low), high) }
    if step > 0 {
      return Array(
        stride(from: from.map { clamp($0, 0, count) } ?? 0, to: to.map { clamp($0, 0, count) } ?? count, by: step))
    }
    return Array(
      stride(
        from: from.map { clamp($0, -1, count - 1) } ?? count - 1, to: to.map { clamp($0, -1, count - 1) } ?? -1,
        by: step))
  }
}
