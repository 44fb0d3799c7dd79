/// Row-major float64 matrices and the four products the twin is made of.
/// Plain loops; knows nothing of models. A vector is a matrix of one row.

public struct TwinTensor: Equatable, Sendable {
  public let rows: Int
  public let columns: Int
  public var values: [Double]

  public init(rows: Int, columns: Int, values: [Double]) {
    precondition(values.count == rows * columns, "\(values.count) values for [\(rows), \(columns)]")
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  /// From the product's float32 values, row-major.
  public init(rows: Int, columns: Int, floats: [Float]) {
    self.init(rows: rows, columns: columns, values: floats.map(Double.init))
  }

  public init(zeros rows: Int, _ columns: Int) {
    self.init(rows: rows, columns: columns, values: [Double](repeating: 0, count: rows * columns))
  }

  public init(zerosLike other: TwinTensor) {
    self.init(zeros: other.rows, other.columns)
  }

  public subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }

  public func row(_ row: Int) -> ArraySlice<Double> {
    values[row * columns..<(row + 1) * columns]
  }

  public static func + (left: TwinTensor, right: TwinTensor) -> TwinTensor {
    var sum = left
    sum.add(right)
    return sum
  }

  public mutating func multiply(by factor: Double) {
    for i in values.indices { values[i] *= factor }
  }

  /// Adds the one row of `other` to every row.
  public mutating func addRow(_ other: TwinTensor) {
    precondition(other.rows == 1 && columns == other.columns, "\(shape) += row of \(other.shape)")
    for i in values.indices { values[i] += other.values[i % columns] }
  }

  /// self += scale · other.
  public mutating func add(_ other: TwinTensor, scale: Double = 1) {
    precondition(rows == other.rows && columns == other.columns, "\(shape) += \(other.shape)")
    for i in values.indices { values[i] += scale * other.values[i] }
  }

  /// self `[M, K]` times the transpose of `other` `[N, K]`: `[M, N]`. This is y = x Wᵀ of a linear layer.
  public func timesTransposed(_ other: TwinTensor) -> TwinTensor {
    precondition(columns == other.columns, "\(shape) · \(other.shape)ᵀ")
    var product = TwinTensor(zeros: rows, other.rows)
    product.values.withUnsafeMutableBufferPointer { out in
      values.withUnsafeBufferPointer { x in
        other.values.withUnsafeBufferPointer { w in
          for o in 0..<other.rows {
            for t in 0..<rows {
              out[t * other.rows + o] = dot(x, t * columns, w, o * columns, columns)
            }
          }
        }
      }
    }
    return product
  }

  /// self += scale · `left` `[M, K]` · `right` `[K, N]`. This is dx += dy W.
  public mutating func addProduct(_ left: TwinTensor, _ right: TwinTensor, scale: Double = 1) {
    precondition(
      rows == left.rows && left.columns == right.rows && columns == right.columns,
      "\(shape) += \(left.shape) · \(right.shape)")
    addRows(of: right) { m, k in scale * left[m, k] }
  }

  /// self += scale · `left` `[K, M]`ᵀ · `right` `[K, N]`. This is dW += dyᵀ x.
  public mutating func addTransposedProduct(_ left: TwinTensor, _ right: TwinTensor, scale: Double = 1) {
    precondition(
      rows == left.columns && left.rows == right.rows && columns == right.columns,
      "\(shape) += \(left.shape)ᵀ · \(right.shape)")
    addRows(of: right) { m, k in scale * left[k, m] }
  }

  /// self[m, n] += Σ_k factor(m, k) · right[k, n].
  private mutating func addRows(of right: TwinTensor, factor: (_ m: Int, _ k: Int) -> Double) {
    let n = columns
    values.withUnsafeMutableBufferPointer { out in
      right.values.withUnsafeBufferPointer { w in
        for k in 0..<right.rows {
          for m in 0..<out.count / n {
            let f = factor(m, k)
            for i in 0..<n { out[m * n + i] += f * w[k * n + i] }
          }
        }
      }
    }
  }

  private var shape: String { "[\(rows), \(columns)]" }
}

/// Σ x[first + i] · y[second + i], in eight running sums; float64 has no need for an order.
private func dot(
  _ x: UnsafeBufferPointer<Double>, _ first: Int, _ y: UnsafeBufferPointer<Double>, _ second: Int, _ count: Int
) -> Double {
  var lanes = SIMD8<Double>.zero
  var i = 0
  while i + 8 <= count {
    var a = SIMD8<Double>()
    var b = SIMD8<Double>()
    for lane in 0..<8 {
      a[lane] = x[first + i + lane]
      b[lane] = y[second + i + lane]
    }
    lanes += a * b
    i += 8
  }
  var sum = lanes.sum()
  while i < count {
    sum += x[first + i] * y[second + i]
    i += 1
  }
  return sum
}
