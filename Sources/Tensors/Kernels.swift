import CKernels

/// Which kernel table computes, on how many threads. A value handed down; there is no global.
///
/// Every method is one operation of `CKernels.h`, where its formula and order stand. Shapes are checked here, so that C
/// never sees a wrong one. (Sendable because the table behind the pointer is constant.) No result depends on the table or the thread count: both only change the time it takes.
public struct Kernels: @unchecked Sendable {
  let context: k_context
  public var name: String { String(cString: k_table_name(context.table)) }
  public var threads: Int { Int(context.threads) }

  /// Tables this machine can run, best first, the last one `scalar`.
  public static var available: [String] {
    (0..<k_table_count()).map { String(cString: k_table_name(k_table_at($0))) }
  }

  /// Whether this table expands blocks of `format` with vectors for products in `int16` and `int8`. If not, it widens them
  /// row by row, and multiplies with vectors all the same.
  public func expands(_ format: WeightFormat) -> Bool { k_table_expands(context.table, format.id) }

  /// More threads than any machine has processors for.
  public static let maximumThreads = 1024

  /// The table called `name` (nil: the best), on `threads` threads, at most `maximumThreads`.
  /// - Returns: nil when this machine has no such table.
  public init?(table name: String? = nil, threads: Int) {
    precondition(threads >= 1, "\(threads) threads cannot compute")
    let names = Self.available
    guard let index = name.map({ names.firstIndex(of: $0) }) ?? 0 else { return nil }
    context = k_context(table: k_table_at(index), threads: UInt32(min(threads, Self.maximumThreads)))
  }

  // MARK: Matmul

  /// `y [T, out] = x [T, in] · Wᵀ`, in integers when `x` has its quantised twin and `w` is quantised, in float else.
  /// `y` may have more columns than `w` has rows: a tile of the vocabulary.
  public func linear(_ y: Matrix, _ x: Activations, _ w: WeightView) { linear([(y, w)], x) }

  /// The same for several weights that read the same input: the threads are called together once for all of them.
  public func linear(_ outputs: [(y: Matrix, w: WeightView)], _ x: Activations) {
    for (y, w) in outputs {
      precondition(y.columns >= w.rows && x.columns == w.columns && y.rows >= x.rows, "linear \(w.name): shapes differ")
    }
    let quantized = x.quantized
    for (y, w) in outputs where w.format.isFloat || quantized == nil {
      k_linear_f32(
        context, y.pointer, y.columns, x.matrix.pointer, x.columns, w.bytes.baseAddress, w.format.id,
        x.rows, w.rows, w.columns)
    }
    guard let quantized else { return }
    let integers = outputs.filter { !$0.w.format.isFloat }.map { y, w in
      k_output(y: y.pointer, y_stride: y.columns, w: w.bytes.baseAddress, format: w.format.id, n_out: w.rows)
    }
    k_linear_integers(context, quantized, integers, integers.count, x.columns)
  }

  /// `dx += dy · W`.
  ///
  /// - Parameter integers: room for `dy`, in blocks of 32, which is multiplied as `BackwardPrecision.int16`; nil
  ///   multiplies in float.
  public func linearBackward(_ dx: Matrix, _ dy: Matrix, _ w: WeightView, rows: Int, integers: QuantizedRows?) {
    precondition(
      dx.columns == w.columns && dy.columns >= w.rows && rows <= min(dx.rows, dy.rows),
      "linear \(w.name): shapes differ")
    if let integers {
      let gradients = integers.take(dy, rows: rows, count: w.rows, as: K_INT14, self)
      k_linear_backward_integers(
        context, dx.pointer, dx.columns, gradients, w.bytes.baseAddress, w.format.id, w.rows, w.columns)
    } else {
      k_linear_backward(
        context, dx.pointer, dx.columns, dy.pointer, dy.columns, w.bytes.baseAddress, w.format.id, rows,
        w.rows, w.columns)
    }
  }

  /// `out [m, n] (+)= a [m, k] · b [k, n]`, on these rows of `a` and `out`; both may have more columns than the product.
  ///
  /// - Parameter columns: those of `b` that are used; nil is all.
  public func gemm(
    _ out: Matrix, _ a: Matrix, _ b: Matrix, rows: Range<Int>, columns: Range<Int>? = nil, accumulate: Bool
  ) {
    let columns = columns ?? 0..<b.columns
    precondition(
      a.columns >= b.rows && out.columns >= columns.count && rows.lowerBound >= 0
        && rows.upperBound <= min(out.rows, a.rows) && columns.lowerBound >= 0 && columns.upperBound <= b.columns,
      "gemm: shapes differ")
    k_gemm(
      context, out.pointer + rows.lowerBound * out.columns, out.columns, a.pointer + rows.lowerBound * a.columns,
      a.columns, b.pointer + columns.lowerBound, b.columns, rows.count, columns.count, b.rows, accumulate)
  }

  /// `out [m, n] += scale · aᵀ b` over the first `tokens` rows; `a` and `b` may have more columns than the product.
  public func outer(_ out: Matrix, _ a: Matrix, _ b: Matrix, tokens: Int, scale: Float) {
    precondition(
      out.rows <= a.columns && out.columns <= b.columns && tokens <= min(a.rows, b.rows), "outer: shapes differ")
    k_outer(
      context, out.pointer, out.columns, a.pointer, a.columns, b.pointer, b.columns, out.rows,
      out.columns, tokens, scale)
  }

  // MARK: Rows

  public func rmsNorm(_ y: Matrix, _ inverse: Buffer<Float>?, _ x: Matrix, _ w: Buffer<Float>, eps: Float, rows: Int) {
    precondition(x.columns == w.count && y.columns == w.count && rows <= min(x.rows, y.rows), "rmsNorm: shapes differ")
    k_rms_norm(context, y.pointer, inverse?.pointer, x.pointer, w.pointer, eps, rows, w.count)
  }

  public func rmsNormBackward(
    _ dx: Matrix, _ dy: Matrix, _ x: Matrix, _ w: Buffer<Float>, _ inverse: Buffer<Float>, rows: Int
  ) {
    precondition(
      x.columns == w.count && dx.columns == w.count && rows <= min(x.rows, dx.rows), "rmsNorm: shapes differ")
    k_rms_norm_backward(context, dx.pointer, dy.pointer, x.pointer, w.pointer, inverse.pointer, rows, w.count)
  }

  /// `y[t] += b` on the first `rows` rows.
  public func add(_ y: Matrix, row b: Buffer<Float>, rows: Int) {
    precondition(y.columns == b.count && rows <= y.rows, "add: shapes differ")
    k_add_row(context, y.pointer, y.columns, b.pointer, rows, b.count)
  }

  /// Turns the pairs of `x [T, heads·E]` in place by the angles `[T, E/2]` whose cosines and sines are given.
  public func rope(
    _ x: Matrix, _ pairs: RotaryPairs, cosines: Matrix, sines: Matrix, rows: Int, heads: Int, inverse: Bool = false
  ) {
    let headDim = cosines.columns * 2
    precondition(
      x.columns == heads * headDim && sines.columns == cosines.columns
        && rows <= min(x.rows, cosines.rows, sines.rows), "rope: shapes differ")
    k_rope(
      context, x.pointer, x.columns, cosines.pointer, sines.pointer, rows, heads, headDim, pairs.c, inverse)
  }

  public func swiGLU(_ out: Matrix, _ gate: Matrix, _ up: Matrix, rows: Int) {
    precondition(
      out.columns == gate.columns && gate.columns == up.columns && rows <= gate.rows, "swiGLU: shapes differ")
    k_swiglu(context, out.pointer, gate.pointer, up.pointer, rows * gate.columns)
  }

  public func swiGLUBackward(_ dGate: Matrix, _ dUp: Matrix, _ dOut: Matrix, _ gate: Matrix, _ up: Matrix, rows: Int) {
    precondition(
      dOut.columns == gate.columns && gate.columns == up.columns && rows <= gate.rows, "swiGLU: shapes differ")
    k_swiglu_backward(
      context, dGate.pointer, dUp.pointer, dOut.pointer, gate.pointer, up.pointer, rows * gate.columns)
  }

  /// `y += s · x` on the first `rows` rows.
  public func add(_ y: Matrix, _ x: Matrix, scale s: Float = 1, rows: Int) {
    precondition(x.columns == y.columns && rows <= min(x.rows, y.rows), "add: shapes differ")
    k_axpy(context, y.pointer, x.pointer, s, rows * x.columns)
  }

  /// `y = a + s · b` on the first `rows` rows; `y` may be `a`.
  public func sum(_ y: Matrix, _ a: Matrix, _ b: Matrix, scale s: Float = 1, rows: Int) {
    precondition(
      a.columns == y.columns && b.columns == y.columns && rows <= min(y.rows, a.rows, b.rows), "sum: shapes differ")
    k_add(context, y.pointer, a.pointer, b.pointer, s, rows * y.columns)
  }

  // MARK: Attention

  public func cacheWrite(_ segments: SegmentList, _ shape: AttentionShape, k: Matrix, v: Matrix) {
    check(segments, k, shape.kvHeads * shape.headDim)
    check(segments, v, shape.kvHeads * shape.headDim)
    segments.withC { k_cache_write(context, $0, $1, shape.c, k.pointer, v.pointer) }
  }

  public func attention(_ out: Matrix, _ logSum: Matrix?, _ q: Matrix, _ segments: SegmentList, _ shape: AttentionShape)
  {
    for matrix in [out, q] { check(segments, matrix, shape.heads * shape.headDim) }
    if let logSum { check(segments, logSum, shape.heads) }
    segments.withC { k_attention(context, out.pointer, logSum?.pointer, q.pointer, $0, $1, shape.c) }
  }

  /// - Precondition: the segments are whole sequences, each perhaps followed by branches that start where it ends.
  public func attentionBackward(
    dq: Matrix, dk: Matrix, dv: Matrix, _ dOut: Matrix, _ out: Matrix, _ logSum: Matrix, _ q: Matrix,
    _ segments: SegmentList, _ shape: AttentionShape
  ) {
    for matrix in [dq, dOut, out, q] { check(segments, matrix, shape.heads * shape.headDim) }
    for matrix in [dk, dv] { check(segments, matrix, shape.kvHeads * shape.headDim) }
    check(segments, logSum, shape.heads)
    precondition(segments.areGroups, "attention: a branch does not start where the sequence before it ends")
    segments.withC {
      k_attention_backward(
        context, dq.pointer, dk.pointer, dv.pointer, dOut.pointer, out.pointer, logSum.pointer, q.pointer, $0, $1,
        shape.c)
    }
  }

  private func check(_ segments: SegmentList, _ matrix: Matrix, _ columns: Int) {
    precondition(
      matrix.columns == columns && matrix.rows >= segments.rows,
      "attention: [\(matrix.rows), \(matrix.columns)] is not [\(segments.rows), \(columns)]")
  }

  // MARK: Log-probabilities

  /// Vocabulary entries in one tile of the head.
  public static let vocabularyTile = Int(K_VOCAB_TILE)

  public func logSumExpTile(
    _ maximum: Buffer<Float>, _ sum: Buffer<Float>, _ z: UnsafePointer<Float>, stride: Int, rows: Int, count: Int
  ) {
    k_log_sum_exp_tile(context, maximum.pointer, sum.pointer, z, stride, rows, count)
  }

  public func logSumExpFinish(_ out: Buffer<Float>, _ maximum: Buffer<Float>, _ sum: Buffer<Float>, rows: Int) {
    k_log_sum_exp_finish(context, out.pointer, maximum.pointer, sum.pointer, rows)
  }

  public func logProbBackwardTile(
    _ z: Matrix, logSum: Buffer<Float>, weight: Buffer<Float>, target: Buffer<UInt32>, first: Int, rows: Int, count: Int
  ) {
    k_log_prob_backward_tile(
      context, z.pointer, z.columns, logSum.pointer, weight.pointer, target.pointer, first, rows, count)
  }

  public func exp(_ out: Buffer<Float>, _ x: Buffer<Float>) {
    k_exp(context, out.pointer, x.pointer, x.count)
  }

  public func log(_ out: Buffer<Float>, _ x: Buffer<Float>) {
    k_log(context, out.pointer, x.pointer, x.count)
  }
}

/// Which values of a head turn together in the rotary embedding.
public enum RotaryPairs: Sendable {
  /// 2i and 2i + 1: GGUF's row order of q and k for `llama`.
  case neighbours
  /// i and i + E/2: Hugging Face's order.
  case halves

  var c: k_pairs { self == .halves ? K_HALVES : K_NEIGHBOURS }
}

/// `to [n, m] = from [m, n]`.
public func transpose(from: Matrix, to: Matrix) {
  precondition(to.rows == from.columns && to.columns == from.rows, "transpose: shapes differ")
  k_transpose(to.pointer, from.pointer, from.rows, from.columns)
}

/// `count` values of a row in `format`, which can be quantised: whole blocks, plainly, the same bytes on every machine. Values
/// are finite, their scales below 65504.
public func quantize(
  _ blocks: UnsafeMutableRawPointer, from values: UnsafePointer<Float>, format: WeightFormat, count: Int
) {
  precondition(format.canQuantize, "\(format) is not written")
  precondition(count.isMultiple(of: format.valuesPerBlock), "\(count) values are not whole blocks of \(format)")
  k_quantize_row(blocks, values, format.id, count)
}

/// `count` values of `format`, dequantised as ggml does.
public func dequantize(
  _ out: UnsafeMutablePointer<Float>, from blocks: UnsafeRawPointer, format: WeightFormat, count: Int
) {
  precondition(count.isMultiple(of: format.valuesPerBlock), "\(count) values are not whole blocks of \(format)")
  k_dequantize(out, blocks, format.id, count)
}
