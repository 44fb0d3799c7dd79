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

  /// `out = block(x)`, everything the backward needs left on `t`.
  ///
  /// - Parameter x, out: `[T, D]`; may not be the same matrix.
  func callAsFunction(_ block: Int, _ out: Matrix, from x: Matrix, on t: BlockTape, at place: BlockRows) {
    attention(block, from: x, on: t, at: place)
    feedForward(block, on: t, at: place)

    t.act.update(rows: place.rows, kernels)
    linear(block, [(.ffnDown, projected)], from: t.act, on: t, at: place)  // 11
    kernels.sum(out, t.middle, projected, rows: place.rows)  // 12
  }

  /// Fills what `t` does not keep of an earlier forward, and the pages, with the same bits: lines 1 to 10.
  func again(_ block: Int, from x: Matrix, on t: BlockTape, at place: BlockRows) {
    attention(block, from: x, on: t, at: place, isKept: t.keeps.contains(.attention))
    feedForward(block, on: t, at: place, isKept: t.keeps.contains(.feedForward))
  }

  /// `middle = x + attention(x)`.
  private func attention(
    _ block: Int, from x: Matrix, on t: BlockTape, at place: BlockRows, isKept: Bool = false
  ) {
    let (config, weights, rows) = (model.config, model.blocks[block], place.rows)
    kernels.rmsNorm(  // 1
      t.attnNorm.matrix, t.attnInverse, x, weights.attnNorm, eps: config.normEpsilon, rows: rows)
    if !isKept {
      t.attnNorm.update(rows: rows, kernels)
      linear(block, [(.attnQ, t.q), (.attnK, t.k), (.attnV, t.v)], from: t.attnNorm, on: t, at: place)  // 2a, 2b, 2c
      for (x, heads) in [(t.q, config.headCount), (t.k, config.kvHeadCount)] {  // 3
        kernels.rope(
          x, cosines: place.angles.cosines, sines: place.angles.sines, rows: rows, heads: heads)
      }
    }
    kernels.cacheWrite(place.written, shape, k: t.k, v: t.v)  // 4
    if !isKept {
      kernels.attention(t.attnOut.matrix, t.logSum, t.q, place.attended, shape)  // 5
      t.attnOut.update(rows: rows, kernels)
      linear(block, [(.attnOutput, projected)], from: t.attnOut, on: t, at: place)  // 6
      kernels.sum(t.middle, x, projected, rows: rows)  // 7
    }
  }

  /// `act`, the input of the last layer, from `middle`.
  private func feedForward(_ block: Int, on t: BlockTape, at place: BlockRows, isKept: Bool = false) {
    let (weights, rows) = (model.blocks[block], place.rows)
    kernels.rmsNorm(  // 8
      t.ffnNorm.matrix, t.ffnInverse, t.middle, weights.ffnNorm, eps: model.config.normEpsilon, rows: rows)
    if !isKept {
      t.ffnNorm.update(rows: rows, kernels)
      linear(block, [(.ffnGate, t.gate), (.ffnUp, t.up)], from: t.ffnNorm, on: t, at: place)  // 9a, 9b
    }
    kernels.swiGLU(t.act.matrix, t.gate, t.up, rows: rows)  // 10
  }

  /// Layers that read the same input are one product: the frozen weights first, then what the adapters add.
  private func linear(
    _ block: Int, _ layers: [(LoRATarget, Matrix)], from x: Activations, on t: BlockTape, at place: BlockRows
  ) {
    let weights = model.blocks[block]
    kernels.linear(layers.map { layer, y in (y, weights[layer]) }, x)
    for (layer, y) in layers {
      let adapted = place.policies.compactMap { part in part.policy.slot(layer, block).map { ($0, part.rows) } }
      LinearLayer(weight: weights[layer], kernels: kernels)
        .adapt(y, from: x, adapted: adapted, low: t.low(layer), dropout: t.dropout)
    }
  }
}

/// The rows that go through one block: whose they are, where they lie, and the pages of their keys and values.
struct BlockRows {
  let rows: Int
  /// Which rows run under which policy.
  let policies: [PolicyRows]
  let angles: RotaryAngles
  /// Which rows belong to which sequence, with that sequence's pages for this block.
  let attended: SegmentList
  /// Rows whose keys and values go into pages: those of `attended`, and some once more into the pages of others.
  let written: SegmentList
}
