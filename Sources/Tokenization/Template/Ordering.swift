/// The filters that need an order: `sort`, `dictsort`, `min`, `max`, and `unique`. Unless asked otherwise they take capital and
/// small letters for the same, as Jinja does.

struct Ordering {
  static let names: Set<String> = ["sort", "dictsort", "min", "max", "unique"]

  /// What items are ordered by: a part of each, or the whole.
  private var attribute: Value?
  private var isCaseSensitive: Bool
  private var isDescending = false
  private let run: Evaluator

  private typealias Keyed = (key: Value, item: Value)

  static func apply(
    _ name: String, to value: Value, _ arguments: CallArguments, _ run: Evaluator
  ) throws(TemplateError) -> Value {
    // sort(reverse, case_sensitive, attribute), dictsort(case_sensitive, by, reverse), the others (case_sensitive, attribute).
    var order = Ordering(
      attribute: arguments.value(name == "sort" ? 2 : 1, "attribute"),
      isCaseSensitive: arguments.value(name == "sort" ? 1 : 0, "case_sensitive")?.isTrue ?? false, run: run)
    switch name {
    case "sort":
      order.isDescending = arguments.value(0, "reverse")?.isTrue ?? false
      return try run.makeList(order.sorted(order.keyed(run.items(of: value))[...]).map(\.item))
    case "dictsort":
      guard case .dict(let dict) = value else { throw run.failure("dictsort needs a mapping, not \(value.typeName)") }
      let by = try run.text(of: arguments.value(1, "by") ?? .string("key"))
      guard by == "key" || by == "value" else { throw run.failure("dictsort sorts by 'key' or 'value', not '\(by)'") }
      order.attribute = .int(by == "key" ? 0 : 1)
      order.isDescending = arguments.value(2, "reverse")?.isTrue ?? false
      return try run.makeList(order.sorted(order.keyed(run.pairs(of: dict))[...]).map(\.item))
    case "unique": return .list(Value.List(try order.distinct(order.keyed(run.items(of: value))), isLazy: true))
    default:
      order.isDescending = name == "max"
      return try order.first(order.keyed(run.items(of: value))) ?? .undefined("the \(name) of no items")
    }
  }

  private func keyed(_ items: [Value]) throws(TemplateError) -> [Keyed] {
    var result: [Keyed] = []
    for item in items {
      var key = item
      switch attribute {
      case nil, Value.none?: break
      case .int(let index)?: key = try run.item(.int(index), of: item)
      case let path?: key = try run.part(run.text(of: path), of: item)
      }
      if case .string(let text) = key, !isCaseSensitive {
        try run.charge(text.utf8.count / 16 + 1)
        key = .string(text.lowercased())
      }
      result.append((key, item))
    }
    return result
  }

  private func comesBefore(_ a: Keyed, _ b: Keyed) throws(TemplateError) -> Bool {
    try run.charge()
    return try isDescending ? run.isLess(b.key, a.key) : run.isLess(a.key, b.key)
  }

  /// Stable, either way round. A merge sort, because the standard library's sort lets no typed error through.
  private func sorted(_ items: ArraySlice<Keyed>) throws(TemplateError) -> [Keyed] {
    guard items.count > 1 else { return Array(items) }
    let middle = items.startIndex + items.count / 2
    let (left, right) = (try sorted(items[..<middle]), try sorted(items[middle...]))
    var (a, b) = (0, 0)
    var result: [Keyed] = []
    while a < left.count, b < right.count {
      if try comesBefore(right[b], left[a]) {
        result.append(right[b])
        b += 1
      } else {
        result.append(left[a])
        a += 1
      }
    }
    return result + left[a...] + right[b...]
  }

  /// The first among those that come before all others.
  private func first(_ items: [Keyed]) throws(TemplateError) -> Value? {
    guard var best = items.first else { return nil }
    for next in items.dropFirst() where try comesBefore(next, best) { best = next }
    return best.item
  }

  private func distinct(_ items: [Keyed]) throws(TemplateError) -> [Value] {
    var kept: [Keyed] = []
    for next in items {
      var isNew = true
      for other in kept where try run.isEqual(next.key, other.key) {
        isNew = false
        break
      }
      if isNew { kept.append(next) }
    }
    return kept.map(\.item)
  }
}
