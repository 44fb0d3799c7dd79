import Tensors

/// One linear layer of a policy: the frozen weight, and the adapter's low-rank change when there is one.
struct LinearLayer {
  let weight: WeightView
  let slot: Policy.Slot?
  let kernels: Kernels

  /// `y = x Wᵀ + (x (sA)ᵀ) Bᵀ`; `low [T, R]` keeps the inner product for the backward.
  func forward(_ y: Matrix, from x: Activations, low: Matrix?) {
    kernels.linear(y, x, weight)
    guard let slot, let low else { return }
    kernels.gemm(low, x.matrix, slot.scaledAT, rows: x.rows, accumulate: false)
    kernels.gemm(y, low, slot.bT, rows: x.rows, accumulate: true)
  }

  /// `dx += dy W + (dy B)(sA)`, `dB += dyᵀ low`, `dA += s (dy B)ᵀ x`. A nil `dx` is a gradient nobody needs.
  func backward(
    _ dx: Matrix?, from dy: Matrix, at x: Matrix, low: Matrix?, dLow: Matrix?, _ gradient: LoRAGradients.Pair?,
    rows: Int
  ) {
    if let dx { kernels.linearBackward(dx, dy, weight, rows: rows) }
    guard let slot, let low, let dLow, let gradient else { return }
    kernels.gemm(dLow, dy, slot.module.b, rows: rows, accumulate: false)
    if let dx { kernels.gemm(dx, dLow, slot.scaledA, rows: rows, accumulate: true) }
    kernels.outer(gradient.b, dy, low, tokens: rows, scale: 1)
    kernels.outer(gradient.a, dLow, x, tokens: rows, scale: slot.scale)
  }
}
