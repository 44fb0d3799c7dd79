import Tensors

/// One linear layer: the frozen weight, and the low-rank changes of the adapters on it.
struct LinearLayer {
  let weight: WeightView
  let kernels: Kernels

  /// Neighbouring rows under one adapter. Rows of the base are in none.
  typealias AdaptedRows = (slot: Policy.Slot, rows: Range<Int>)

  /// `y += (x (sA)ᵀ) Bᵀ` where a row is adapted, once `y = x Wᵀ` is there. With dropout, x loses some of its values here.
  ///
  /// - Parameter low: `[T, R]` or wider, keeps the inner product for the backward; nil when no row is adapted.
  func adapt(_ y: Matrix, from x: Activations, adapted: [AdaptedRows], low: Matrix?, dropout: DropoutRows? = nil) {
    for (slot, rows) in adapted {
      guard let low else { preconditionFailure("an adapter on \(weight.name) has no room for its inner product") }
      inner(low, from: x.matrix, slot, rows: rows, dropout)
      kernels.gemm(y, low, slot.bT, rows: rows, accumulate: true)
    }
  }

  /// `low = x (sA)ᵀ`.
  func inner(_ low: Matrix, from x: Matrix, _ slot: Policy.Slot, rows: Range<Int>, _ dropout: DropoutRows?) {
    let x = dropout?.drop(x, layer: weight.name, rows: rows) ?? x
    kernels.gemm(low, x, slot.scaledAT, rows: rows, accumulate: false)
  }

  /// `dx += dy W + (dy B)(sA)`, `dB += dyᵀ low`, `dA += s (dy B)ᵀ x`, all rows under one policy. A nil `dx` is a gradient
  /// nobody needs. What dropout took from x in the forward, the adapter's part of `dx` loses too.
  ///
  /// - Parameter integers: see `Kernels.linearBackward`.
  func backward(
    _ dx: Matrix?, from dy: Matrix, at x: Matrix, slot: Policy.Slot?, low: Matrix?,
    _ gradient: LoRAGradients.Pair?, rows: Int, integers: QuantizedRows?, dropout: DropoutRows? = nil
  ) {
    if let dx { kernels.linearBackward(dx, dy, weight, rows: rows, integers: integers) }
    guard let slot, let low, let gradient else { return }
    let dLow = Matrix(rows, slot.rank)
    kernels.gemm(dLow, dy, slot.module.b, rows: 0..<rows, accumulate: false)
    kernels.outer(gradient.b, dy, low, tokens: rows, scale: 1)
    innerBackward(dx, from: dLow, at: x, slot, gradient, rows: rows, dropout)
  }

  /// `dx += dLow (sA)`, `dA += s dLowᵀ x`.
  func innerBackward(
    _ dx: Matrix?, from dLow: Matrix, at x: Matrix, _ slot: Policy.Slot, _ gradient: LoRAGradients.Pair, rows: Int,
    _ dropout: DropoutRows?
  ) {
    guard let dropout else {
      if let dx { kernels.gemm(dx, dLow, slot.scaledA, rows: 0..<rows, accumulate: true) }
      return kernels.outer(gradient.a, dLow, x, tokens: rows, scale: slot.scale)
    }
    let dropped: Matrix
    if let dx {
      kernels.gemm(dropout.room, dLow, slot.scaledA, rows: 0..<rows, accumulate: false)
      dropped = dropout.dropBackward(dx, at: x, layer: weight.name, rows: rows)
    } else {
      dropped = dropout.drop(x, layer: weight.name, rows: 0..<rows)
    }
    kernels.outer(gradient.a, dLow, dropped, tokens: rows, scale: slot.scale)
  }
}
