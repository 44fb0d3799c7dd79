import Tensors

/// One linear layer: the frozen weight, and the low-rank changes of the adapters on it.
struct LinearLayer {
  let weight: WeightView
  let kernels: Kernels

  /// Neighbouring rows under one adapter. Rows of the base are in none.
  typealias AdaptedRows = (slot: Policy.Slot, rows: Range<Int>)

  /// `y += (x (sA)ᵀ) Bᵀ` where a row is adapted, once `y = x Wᵀ` is there.
  ///
  /// - Parameter low: `[T, R]` or wider, keeps the inner product for the backward; nil when no row is adapted.
  func adapt(_ y: Matrix, from x: Activations, adapted: [AdaptedRows], low: Matrix?) {
    for (slot, rows) in adapted {
      guard let low else { preconditionFailure("an adapter on \(weight.name) has no room for its inner product") }
      kernels.gemm(low, x.matrix, slot.scaledAT, rows: rows, accumulate: false)
      kernels.gemm(y, low, slot.bT, rows: rows, accumulate: true)
    }
  }

  /// `dx += dy W + (dy B)(sA)`, `dB += dyᵀ low`, `dA += s (dy B)ᵀ x`, all rows under one policy. A nil `dx` is a gradient
  /// nobody needs.
  func backward(
    _ dx: Matrix?, from dy: Matrix, at x: Matrix, slot: Policy.Slot?, low: Matrix?,
    _ gradient: LoRAGradients.Pair?, rows: Int
  ) {
    if let dx { kernels.linearBackward(dx, dy, weight, rows: rows) }
    guard let slot, let low, let gradient else { return }
    let dLow = Matrix(rows, slot.rank)
    kernels.gemm(dLow, dy, slot.module.b, rows: 0..<rows, accumulate: false)
    if let dx { kernels.gemm(dx, dLow, slot.scaledA, rows: 0..<rows, accumulate: true) }
    kernels.outer(gradient.b, dy, low, tokens: rows, scale: 1)
    kernels.outer(gradient.a, dLow, x, tokens: rows, scale: slot.scale)
  }
}
