/// The known name with the fewest slips of the pen from `name`: letters added, dropped, changed, or exchanged with their
/// neighbour (the restricted Damerau-Levenshtein distance); the first of equals.
public func nearestName(to name: String, among known: [String]) -> String? {
  known.min { distance($0, name) < distance($1, name) }
}

private func distance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a), Array(b))
  var cost = (0...a.count).map { i in (0...b.count).map { i == 0 ? $0 : $0 == 0 ? i : 0 } }
  for i in 0..<a.count {
    for j in 0..<b.count {
      var best = min(cost[i][j + 1], cost[i + 1][j]) + 1
      best = min(best, cost[i][j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, cost[i - 1][j - 1] + 1) }
      cost[i + 1][j + 1] = best
    }
  }
  return cost[a.count][b.count]
}
