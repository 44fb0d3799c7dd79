import Adapters
import Tensors

/// The embedding: a token's row of the frozen matrix, and the low-rank change of the adapter it runs under. To look a row up is to
/// multiply with a vector that is 1 at the token and 0 elsewhere, so `A x` is a column of A and needs no product. Dropout, which
/// takes values of x, would take whole tokens; it leaves them, as PEFT's does.
struct EmbeddingLayer {
  let model: LlamaModel
  private var scale: Float { model.config.scales.embedding }

  /// `x [T, D] = scale · (E[token] + B (sA)[:, token])`.
  ///
  /// - Parameter policies: the adapters of the rows; rows of the base may be in none.
  func callAsFunction(_ tokens: [TokenID], into x: Matrix, policies: [PolicyRows]) {
    for (row, token) in tokens.enumerated() {
      let source = model.tokenEmbd.bytes.baseAddress.map { $0 + Int(token) * model.tokenEmbd.rowBytes }
      guard let source else { return }
      dequantize(x.pointer + row * x.columns, from: source, format: model.tokenEmbd.format, count: x.columns)
    }
    for part in policies {
      guard let slot = part.policy.embedding else { continue }
      model.kernels.gemm(x, inner(tokens, slot, rows: part.rows), slot.bT, rows: part.rows, accumulate: true)
    }
    if scale != 1 {
      for i in 0..<(tokens.count * x.columns) { x.pointer[i] *= scale }
    }
  }

  /// `dB += dᵀ low`, `dA[:, token] += s (d B)`, both times the embedding's scale; all rows under one policy.
  ///
  /// - Parameter d: `[T, D]`, the gradient of what the forward wrote.
  func backward(from d: Matrix, at tokens: [TokenID], _ slot: Policy.Slot, _ gradient: LoRAGradients.Pair) {
    let low = inner(tokens, slot, rows: 0..<tokens.count)
    model.kernels.outer(gradient.b, d, low, tokens: tokens.count, scale: scale)
    model.kernels.gemm(low, d, slot.module.b, rows: 0..<tokens.count, accumulate: false)
    for (row, token) in tokens.enumerated() {
      for (r, value) in low.row(row).enumerated() { gradient.a[r, Int(token)] += slot.scale * scale * value }
    }
  }

  /// `(sA)[:, token]` of each row, `[T, R]`.
  private func inner(_ tokens: [TokenID], _ slot: Policy.Slot, rows: Range<Int>) -> Matrix {
    let low = Matrix(rows.upperBound, slot.rank)
    for row in rows { _ = low.row(row).update(from: slot.scaledAT.row(Int(tokens[row]))) }
    return low
  }
}
