import Tensors

/// Singular values of `scale · B A` without forming it: B = Q S and Aᵀ = P T, so B A = Q (S Tᵀ) Pᵀ, and the middle is only R by R.
/// In float64. One-sided Jacobi (Hestenes 1958) for the middle, Gram and Schmidt twice for Q and P.
struct ProductSVD {
  /// Columns as arrays.
  private typealias Columns = [[Double]]

  /// Largest first.
  let values: [Double]
  /// Of B A: `[out]` and `[in]` each, belonging to `values`.
  private let left: Columns
  private let right: Columns

  init(b: Matrix, a: Matrix, scale: Double) {
    let rank = a.rows
    let (q, s) = Self.orthogonal((0..<rank).map { r in (0..<b.rows).map { scale * Double(b[$0, r]) } })
    let (p, t) = Self.orthogonal((0..<rank).map { r in a.row(r).map(Double.init) })
    // Column j of S Tᵀ; both triangles are kept as columns too.
    var core: Columns = (0..<rank).map { j in
      (0..<rank).map { i in (0..<rank).reduce(0) { $0 + s[$1][i] * t[$1][j] } }
    }
    var turns: Columns = (0..<rank).map { j in (0..<rank).map { $0 == j ? 1 : 0 } }
    Self.diagonalise(&core, &turns)

    let lengths = core.map { Self.dot($0, $0).squareRoot() }
    let order = (0..<rank).sorted { lengths[$0] > lengths[$1] }
    values = order.map { lengths[$0] }
    left = order.map { j in Self.sum(q, core[j].map { lengths[j] > 0 ? $0 / lengths[j] : 0 }) }
    right = order.map { j in Self.sum(p, turns[j]) }
  }

  /// What is lost when only `rank` values are kept, as a share of all in Frobenius norm.
  func lost(beyond rank: Int) -> Double {
    let all = Self.dot(values, values)
    let rest = values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }
    return all > 0 ? (rest / all).squareRoot() : 0
  }

  /// B `[out, rank]` and A `[rank, in]`, each with the roots of the values; zeros where there are fewer.
  func factors(rank: Int) -> (b: Matrix, a: Matrix) {
    let b = Matrix(left.first?.count ?? 0, rank)
    let a = Matrix(rank, right.first?.count ?? 0)
    for j in 0..<min(rank, values.count) {
      let root = values[j].squareRoot()
      for (row, value) in left[j].enumerated() { b[row, j] = Float(root * value) }
      for (column, value) in right[j].enumerated() { a[j, column] = Float(root * value) }
    }
    return (b, a)
  }

  /// Columns of Q, and of the triangle S with `columns = Q S`. A column that the others already span becomes zero in both.
  private static func orthogonal(_ columns: Columns) -> (q: Columns, triangle: Columns) {
    var q: Columns = []
    var triangle: Columns = []
    for column in columns {
      var rest = column
      var weights = [Double](repeating: 0, count: columns.count)
      for _ in 0..<2 {  // once leaves rounding of the size of what was taken away, twice does not
        for (i, unit) in q.enumerated() {
          let weight = dot(unit, rest)
          weights[i] += weight
          for k in rest.indices { rest[k] -= weight * unit[k] }
        }
      }
      let length = dot(rest, rest).squareRoot()
      let isSpanned = length <= 0x1p-40 * dot(column, column).squareRoot()
      weights[q.count] = isSpanned ? 0 : length
      q.append(rest.map { isSpanned ? 0 : $0 / length })
      triangle.append(weights)
    }
    return (q, triangle)
  }

  /// Turns pairs of columns until all are at right angles, and `turns` along with them.
  private static func diagonalise(_ core: inout Columns, _ turns: inout Columns) {
    for _ in 0..<60 {  // converges quadratically: ten sweeps are many
      var isDone = true
      for i in core.indices {
        for j in core.indices.dropFirst(i + 1) {
          let (aa, bb, ab) = (dot(core[i], core[i]), dot(core[j], core[j]), dot(core[i], core[j]))
          guard abs(ab) > 0x1p-50 * (aa * bb).squareRoot() else { continue }
          isDone = false
          let zeta = (bb - aa) / (2 * ab)
          let tangent = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
          let cosine = 1 / (1 + tangent * tangent).squareRoot()
          turn(&core, i, j, cosine, cosine * tangent)
          turn(&turns, i, j, cosine, cosine * tangent)
        }
      }
      if isDone { return }
    }
  }

  private static func turn(_ columns: inout Columns, _ i: Int, _ j: Int, _ cosine: Double, _ sine: Double) {
    for k in columns[i].indices {
      let (x, y) = (columns[i][k], columns[j][k])
      columns[i][k] = cosine * x - sine * y
      columns[j][k] = sine * x + cosine * y
    }
  }

  private static func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }

  private static func sum(_ columns: Columns, _ weights: [Double]) -> [Double] {
    var out = [Double](repeating: 0, count: columns.first?.count ?? 0)
    for (column, weight) in zip(columns, weights) where weight != 0 {
      for k in out.indices { out[k] += weight * column[k] }
    }
    return out
  }
}
