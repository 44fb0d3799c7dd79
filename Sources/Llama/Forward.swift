import Adapters
import Tensors

/// One transformer block, forward. Knows shapes and the tape; knows nothing of tokens, heads or training.
/// `Backward.swift` has the same numbered lines in the opposite order.
struct BlockForward {
  let policy: Policy
  let kernels: Kernels
  let shape: AttentionShape
  /// Room for a layer's result before it joins the residual stream: `[T, D]`.
  let projected: Matrix

  init(_ policy: Policy, rows: Int) {
    self.policy = policy
    kernels = policy.model.kernels
    shape = policy.model.attention
    projected = Matrix(rows, policy.model.config.dim)
  }

  func layer(_ layer: LoRATarget, _ block: Int) -> LinearLayer {
    LinearLayer(
      weight: policy.model.blocks[block][layer], slot: policy.slots[block][layer.index], kernels: kernels)
  }

  /// `out = block(x)` for `rows` rows, everything the backward needs left on `t`.
  ///
  /// - Parameters:
  ///   - x, out: `[T, D]`; may not be the same matrix.
  ///   - segments: which rows belong to which sequence, with that sequence's pages for this block.
  func callAsFunction(
    _ block: Int, _ out: Matrix, from x: Matrix, on t: BlockTape, segments: SegmentList, angles: RotaryAngles,
    rows: Int
  ) {
    let model = policy.model
    let (config, weights) = (model.config, model.blocks[block])

    kernels.rmsNorm(  // 1
      t.attnNorm.matrix, t.attnInverse, x, weights.attnNorm, eps: config.normEpsilon, rows: rows)
    t.attnNorm.update(rows: rows, kernels)
    layer(.attnQ, block).forward(t.q, from: t.attnNorm, low: t.low(.attnQ))  // 2a
    layer(.attnK, block).forward(t.k, from: t.attnNorm, low: t.low(.attnK))  // 2b
    layer(.attnV, block).forward(t.v, from: t.attnNorm, low: t.low(.attnV))  // 2c
    for (x, heads) in [(t.q, config.headCount), (t.k, config.kvHeadCount)] {  // 3
      kernels.rope(
        x, cosines: angles.cosines, sines: angles.sines, rows: rows, heads: heads)
    }
    kernels.cacheWrite(segments, shape, k: t.k, v: t.v)  // 4
    kernels.attention(t.attnOut.matrix, t.logSum, t.q, segments, shape)  // 5
    t.attnOut.update(rows: rows, kernels)
    layer(.attnOutput, block).forward(projected, from: t.attnOut, low: t.low(.attnOutput))  // 6
    sum(t.middle, x, rows: rows)  // 7

    kernels.rmsNorm(  // 8
      t.ffnNorm.matrix, t.ffnInverse, t.middle, weights.ffnNorm, eps: config.normEpsilon, rows: rows)
    t.ffnNorm.update(rows: rows, kernels)
    layer(.ffnGate, block).forward(t.gate, from: t.ffnNorm, low: t.low(.ffnGate))  // 9a
    layer(.ffnUp, block).forward(t.up, from: t.ffnNorm, low: t.low(.ffnUp))  // 9b
    kernels.swiGLU(t.act.matrix, t.gate, t.up, rows: rows)  // 10
    t.act.update(rows: rows, kernels)
    layer(.ffnDown, block).forward(projected, from: t.act, low: t.low(.ffnDown))  // 11
    sum(out, t.middle, rows: rows)  // 12
  }

  /// `y = x + projected`.
  private func sum(_ y: Matrix, _ x: Matrix, rows: Int) {
    y.pointer.update(from: x.pointer, count: rows * x.columns)
    kernels.add(y, projected, rows: rows)
  }
}
