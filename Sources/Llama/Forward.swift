import Adapters
import Tensors

/// One transformer block, forward. Knows shapes and the tape; knows nothing of tokens, heads or training.
/// `Backward.swift` has the same numbered lines in the opposite order.
struct BlockForward {
  let model: LlamaModel
  let kernels: Kernels
  let shape: AttentionShape
  /// Room for a layer's result before it joins the residual stream: `[T, D]`.
  let projected: Matrix

  init(_ model: LlamaModel, rows: Int) {
    self.model = model
    kernels = model.kernels
    shape = model.attention
    projected = Matrix(rows, model.config.dim)
  }

  /// `out = block(x)` for `rows` rows, everything the backward needs left on `t`.
  ///
  /// - Parameters:
  ///   - x, out: `[T, D]`; may not be the same matrix.
  ///   - segments: which rows belong to which sequence, with that sequence's pages for this block.
  ///   - policies: which rows run under which policy.
  func callAsFunction(
    _ block: Int, _ out: Matrix, from x: Matrix, on t: BlockTape, segments: SegmentList, policies: [PolicyRows],
    angles: RotaryAngles, rows: Int
  ) {
    let (config, weights) = (model.config, model.blocks[block])
    // Layers that read the same input are one product: the frozen weights first, then what the adapters add.
    func linear(_ layers: [(LoRATarget, Matrix)], from x: Activations) {
      kernels.linear(layers.map { layer, y in (y, weights[layer]) }, x)
      for (layer, y) in layers {
        let adapted = policies.compactMap { part in part.policy.slot(layer, block).map { ($0, part.rows) } }
        LinearLayer(weight: weights[layer], kernels: kernels)
          .adapt(y, from: x, adapted: adapted, low: t.low(layer), dropout: t.dropout)
      }
    }

    kernels.rmsNorm(  // 1
      t.attnNorm.matrix, t.attnInverse, x, weights.attnNorm, eps: config.normEpsilon, rows: rows)
    t.attnNorm.update(rows: rows, kernels)
    linear([(.attnQ, t.q), (.attnK, t.k), (.attnV, t.v)], from: t.attnNorm)  // 2a, 2b, 2c
    for (x, heads) in [(t.q, config.headCount), (t.k, config.kvHeadCount)] {  // 3
      kernels.rope(
        x, cosines: angles.cosines, sines: angles.sines, rows: rows, heads: heads)
    }
    kernels.cacheWrite(segments, shape, k: t.k, v: t.v)  // 4
    kernels.attention(t.attnOut.matrix, t.logSum, t.q, segments, shape)  // 5
    t.attnOut.update(rows: rows, kernels)
    linear([(.attnOutput, projected)], from: t.attnOut)  // 6
    kernels.sum(t.middle, x, projected, rows: rows)  // 7

    kernels.rmsNorm(  // 8
      t.ffnNorm.matrix, t.ffnInverse, t.middle, weights.ffnNorm, eps: config.normEpsilon, rows: rows)
    t.ffnNorm.update(rows: rows, kernels)
    linear([(.ffnGate, t.gate), (.ffnUp, t.up)], from: t.ffnNorm)  // 9a, 9b
    kernels.swiGLU(t.act.matrix, t.gate, t.up, rows: rows)  // 10
    t.act.update(rows: rows, kernels)
    linear([(.ffnDown, projected)], from: t.act)  // 11
    kernels.sum(out, t.middle, projected, rows: rows)  // 12
  }
}
