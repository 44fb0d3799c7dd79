/// A linear layer with a frozen weight and an optional LoRA, forward and backward, and the rounding of inputs to integers.

extension TwinModel {
  /// y = x Wᵀ + scale · (x Aᵀ) Bᵀ. The LoRA sees the unrounded input.
  func linear(_ x: TwinTensor, _ name: String, _ adapter: TwinAdapter) -> TwinTensor {
    let input = roundedInputs.contains(name) ? roundedToIntegers(x, largest: largestInteger) : x
    var y = input.timesTransposed(weight(name))
    if let lora = adapter.modules[name] {
      y.add(lora.dropped(x).timesTransposed(lora.a).timesTransposed(lora.b), scale: lora.scale)
    }
    return y
  }

  /// With u = A (f ∘ x): dB += scale · dyᵀ u, du = scale · dy B, dA += duᵀ (f ∘ x), dx += dy W + f ∘ (du A).
  func linearBackward(
    _ dx: inout TwinTensor, _ gradient: inout TwinAdapter, from dy: TwinTensor, at x: TwinTensor,
    _ name: String, _ adapter: TwinAdapter
  ) {
    dx.addProduct(dy, weight(name))
    guard let lora = adapter.modules[name] else { return }
    let seen = lora.dropped(x)
    let u = seen.timesTransposed(lora.a)
    gradient.modules[name]?.b.addTransposedProduct(dy, u, scale: lora.scale)
    var du = TwinTensor(zerosLike: u)
    du.addProduct(dy, lora.b, scale: lora.scale)
    gradient.modules[name]?.a.addTransposedProduct(du, seen)
    var dSeen = TwinTensor(zerosLike: x)
    dSeen.addProduct(du, lora.a)
    dx.add(lora.dropped(dSeen))
  }
}

/// Each block of 32 becomes scale · q, scale = amax / largest, q = x · largest / amax rounded to nearest even; the block is
/// zero when amax is below 1e-30. Float64 throughout, so a tie may fall the other way than in float32.
public func roundedToIntegers(_ x: TwinTensor, largest: Double) -> TwinTensor {
  precondition(x.columns.isMultiple(of: 32), "\(x.columns) columns are not blocks of 32")
  var rounded = x
  for start in stride(from: 0, to: x.values.count, by: 32) {
    let amax = x.values[start..<start + 32].reduce(0) { max($0, abs($1)) }
    for i in start..<start + 32 {
      let q = (x.values[i] * (largest / amax)).rounded(.toNearestOrEven)
      rounded.values[i] = amax < 1e-30 ? 0 : q * (amax / largest)
    }
  }
  return rounded
}
