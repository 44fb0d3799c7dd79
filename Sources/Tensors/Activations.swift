import CKernels

/// The arithmetic of matmuls with quantised weights, a named choice whose cost is measured (`parley bench`).
public enum Precision: String, CaseIterable, Codable, Sendable {
  /// Dequantised weights times float activations.
  case f32
  /// Activations rounded to ±32767 in blocks of 32; block products exact.
  case int16
  /// Activations rounded to ±127 in blocks of 32; block products exact.
  case int8

  /// What activations become; nil for floats.
  var integers: k_integers? {
    switch self {
    case .f32: nil
    case .int16: K_INT16
    case .int8: K_INT8
    }
  }
}

/// The arithmetic in which gradients pass frozen weights. It decides no log-prob.
public enum BackwardPrecision: String, CaseIterable, Codable, Sendable {
  /// Gradients and weights rounded to ±8191 in groups of 32; group products exact.
  case int16
  /// Dequantised weights times float gradients.
  case f32
}

/// Room for the quantised twin of whatever activations, or gradients, are in use right now; many `Activations` can share one.
public final class QuantizedRows {
  private let values: Buffer<Int16>  // of 8-bit integers, too
  private let scale: Buffer<Float>
  private let sum: Buffer<Float>
  private let total: Buffer<Int32>
  var capacity: Int { values.count }
  /// Whose twin this is; a shared scratch belongs to whoever updated last.
  fileprivate(set) weak var owner: Activations?

  /// Room for `values` activations in all.
  public init(values count: Int) {
    let blocks = (count + Int(K_ACT_BLOCK) - 1) / Int(K_ACT_BLOCK)
    values = Buffer(count: count)
    scale = Buffer(count: blocks)
    sum = Buffer(count: blocks)
    total = Buffer(count: 2 * blocks)
  }

  /// Values that one row of `columns` takes: whole chunks.
  public static func room(columns: Int) -> Int {
    let chunk = Int(K_CHUNK)
    return (columns + chunk - 1) / chunk * chunk
  }

  /// Bytes for `values` activations, scales and sums included.
  public static func bytes(values: Int) -> Int { 2 * values + 16 * (values / Int(K_ACT_BLOCK) + 1) }

  /// The first rows of `x`, their first `count` columns, as integers. No `Activations` owns them.
  func take(_ x: Matrix, rows: Int, count: Int, as kind: k_integers, _ kernels: Kernels) -> k_activations {
    let values = rows * Self.room(columns: count)
    precondition(values <= capacity, "\(values) values do not fit the room of \(capacity)")
    owner = nil
    let to = c(kind, rows: rows)
    k_quantize_rows(kernels.context, to, x.pointer, x.columns, count)
    return to
  }

  func c(_ kind: k_integers, rows: Int) -> k_activations {
    k_activations(
      kind: kind, rows: rows, q: values.pointer, scale: scale.pointer, sum: sum.pointer, total: total.pointer)
  }
}

/// The input of linear layers: the floats and, in `int16` and `int8`, their quantised twin. Made once, read by every layer on it.
public final class Activations {
  public let matrix: Matrix
  public private(set) var rows = 0
  private let scratch: QuantizedRows?
  private let integers: k_integers?
  public var columns: Int { matrix.columns }

  /// Room for `[rows, columns]`. In `int16` and `int8`, columns that are not whole blocks of 32 stay float (such a matrix can only
  /// meet float weights).
  ///
  /// - Parameter scratch: shared room for the twin, valid until another sharer updates; nil makes its own.
  public init(_ rows: Int, _ columns: Int, precision: Precision, scratch shared: QuantizedRows? = nil) {
    matrix = Matrix(rows, columns)
    integers = columns.isMultiple(of: Int(K_ACT_BLOCK)) ? precision.integers : nil
    scratch = integers == nil ? nil : shared ?? QuantizedRows(values: rows * QuantizedRows.room(columns: columns))
  }

  /// Takes the first `rows` rows of `matrix` as they are now.
  public func update(rows: Int, _ kernels: Kernels) {
    precondition(rows <= matrix.rows, "\(rows) rows do not fit \(matrix.rows)")
    self.rows = rows
    guard let scratch, let integers else { return }
    let values = rows * QuantizedRows.room(columns: columns)
    precondition(values <= scratch.capacity, "\(values) values do not fit the shared scratch")
    scratch.owner = self
    k_quantize_rows(kernels.context, scratch.c(integers, rows: rows), matrix.pointer, columns, columns)
  }

  /// The quantised twin, nil in `f32`.
  var quantized: k_activations? {
    guard let scratch, let integers else { return nil }
    precondition(scratch.owner === self, "these activations were overwritten by another layer's")
    return scratch.c(integers, rows: rows)
  }
}
