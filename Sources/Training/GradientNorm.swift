/// The length of all gradients together, and clipping to a longest one.

import Tensors

public enum GradientNorm {
  /// √(Σ g²) over every buffer, summed in float64 in order. Infinite or NaN when any gradient is.
  public static func of(_ gradients: [Buffer<Float>]) -> Double {
    var sum = 0.0
    for gradient in gradients {
      for value in gradient.span { sum += Double(value) * Double(value) }
    }
    return sum.squareRoot()
  }

  /// Scales every gradient by `limit` / norm when the norm exceeds `limit`.
  ///
  /// - Parameter limit: `nil` never clips.
  /// - Returns: the norm before clipping (`grad_norm`). When it is not finite nothing is changed: skip the step.
  public static func clip(_ gradients: [Buffer<Float>], to limit: Double?) -> Double {
    let norm = of(gradients)
    guard let limit, norm.isFinite, norm > limit else { return norm }
    let scale = Float(limit / norm)
    for gradient in gradients {
      for i in 0..<gradient.count { gradient.pointer[i] *= scale }
    }
    return norm
  }
}
