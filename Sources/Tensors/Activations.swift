import CKernels

/// The arithmetic of matmuls with quantised weights, a named choice whose cost is measured (`parley bench`).
public enum Precision: String, CaseIterable, Sendable {
  /// Dequantised weights times float activations.
  case f32
  /// Activations rounded to ±32767 in blocks of 32; block products exact.
  case int16
}

/// The input of linear layers: the floats and, in `int16`, their quantised twin. Made once, used by every layer that reads it.
public final class Activations: @unchecked Sendable {
  struct Quantized {
    let values: Buffer<Int16>
    let scale: Buffer<Float>
    let sum: Buffer<Float>
  }

  public let matrix: Matrix
  public private(set) var rows = 0
  let quantized: Quantized?
  public var columns: Int { matrix.columns }

  /// Room for `[rows, columns]`. In `int16`, columns that are not whole blocks of 32 stay float (such a matrix can only
  /// meet float weights).
  public init(_ rows: Int, _ columns: Int, precision: Precision) {
    matrix = Matrix(rows, columns)
    let block = Int(K_ACT_BLOCK)
    quantized =
      precision == .int16 && columns.isMultiple(of: block)
      ? Quantized(
        values: Buffer(count: rows * columns), scale: Buffer(count: rows * columns / block),
        sum: Buffer(count: rows * columns / block)) : nil
  }

  /// Takes the first `rows` rows of `matrix` as they are now.
  public func update(rows: Int, _ kernels: Kernels) {
    precondition(rows <= matrix.rows, "\(rows) rows do not fit \(matrix.rows)")
    self.rows = rows
    guard let q = quantized else { return }
    k_quantize_rows(
      kernels.context, q.values.pointer, q.scale.pointer, q.sum.pointer, matrix.pointer, columns, rows, columns)
  }
}
