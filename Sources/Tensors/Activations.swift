import CKernels

/// The arithmetic of matmuls with quantised weights, a named choice whose cost is measured (`parley bench`).
public enum Precision: String, CaseIterable, Codable, Sendable {
  /// Dequantised weights times float activations.
  case f32
  /// Activations rounded to ±32767 in blocks of 32; block products exact.
  case int16
}

/// Room for the quantised twin of whatever activations are in use right now; many `Activations` can share one.
public final class QuantizedRows {
  let values: Buffer<Int16>
  let scale: Buffer<Float>
  let sum: Buffer<Float>
  /// Whose twin this is; a shared scratch belongs to whoever updated last.
  fileprivate(set) weak var owner: Activations?

  /// Room for `values` activations in all.
  public init(values count: Int) {
    let blocks = (count + Int(K_ACT_BLOCK) - 1) / Int(K_ACT_BLOCK)
    values = Buffer(count: count)
    scale = Buffer(count: blocks)
    sum = Buffer(count: blocks)
  }
}

/// The input of linear layers: the floats and, in `int16`, their quantised twin. Made once, read by every layer on it.
public final class Activations {
  public let matrix: Matrix
  public private(set) var rows = 0
  private let scratch: QuantizedRows?
  public var columns: Int { matrix.columns }

  /// Room for `[rows, columns]`. In `int16`, columns that are not whole blocks of 32 stay float (such a matrix can only
  /// meet float weights).
  ///
  /// - Parameter scratch: shared room for the twin, valid until another sharer updates; nil makes its own.
  public init(_ rows: Int, _ columns: Int, precision: Precision, scratch shared: QuantizedRows? = nil) {
    matrix = Matrix(rows, columns)
    if precision == .int16 && columns.isMultiple(of: Int(K_ACT_BLOCK)) {
      scratch = shared ?? QuantizedRows(values: rows * columns)
    } else {
      scratch = nil
    }
  }

  /// Takes the first `rows` rows of `matrix` as they are now.
  public func update(rows: Int, _ kernels: Kernels) {
    precondition(rows <= matrix.rows, "\(rows) rows do not fit \(matrix.rows)")
    self.rows = rows
    guard let scratch else { return }
    precondition(rows * columns <= scratch.values.count, "\(rows * columns) values do not fit the shared scratch")
    scratch.owner = self
    k_quantize_rows(
      kernels.context, scratch.values.pointer, scratch.scale.pointer, scratch.sum.pointer, matrix.pointer, columns,
      rows, columns)
  }

  /// The quantised twin, nil in `f32`.
  var quantized: QuantizedRows? {
    precondition(scratch == nil || scratch?.owner === self, "these activations were overwritten by another layer's")
    return scratch
  }
}
