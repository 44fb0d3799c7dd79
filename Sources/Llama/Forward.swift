import Adapters
import Tensors

/// One transformer block, forward. Knows shapes and the tape; knows nothing of tokens, heads or training.
/// `Backward.swift` has the same numbered lines in the opposite order.
struct BlockForward {
  let model: LlamaModel
  let kernels: Kernels
  /// Room for a layer's result before it joins the residual stream: `[T, D]`.
  let projected: Matrix

  init(_ model: LlamaModel, rows: Int) {
    self.model = model
    kernels = model.kernels
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
    kernels.sum(out, t.middle, projected, scale: model.config.scales.residual, rows: place.rows)  // 12
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
    let (config, weights, shape, rows) = (model.config, model.blocks[block], model.attention(block), place.rows)
    kernels.rmsNorm(  // 1
      t.attnNorm.matrix, t.attnInverse, x, weights.attnNorm, eps: config.normEpsilon, rows: rows)
    if !isKept {
      t.attnNorm.update(rows: rows, kernels)
      linear(  // 2a, 2b, 2c
        block, [(.attnQ, t.qProjected), (.attnK, t.kProjected), (.attnV, t.v)], from: t.attnNorm, on: t, at: place)
      if let norms = weights.headNorms {  // 2d
        normHeads(t.q, t.qInverse, t.qProjected, norms.q, rows: rows * shape.heads)
        normHeads(t.k, t.kInverse, t.kProjected, norms.k, rows: rows * shape.kvHeads)
      }
      rotate(t.q, by: place.angles.queries, rows: rows, heads: shape.heads)  // 3
      rotate(t.k, by: place.angles.keys, rows: rows, heads: shape.kvHeads)
    }
    kernels.cacheWrite(place.written, shape, k: t.k, v: t.v)  // 4
    if !isKept {
      kernels.attention(t.attnOut.matrix, t.logSum, t.q, place.attended, shape)  // 5
      t.attnOut.update(rows: rows, kernels)
      linear(block, [(.attnOutput, projected)], from: t.attnOut, on: t, at: place)  // 6
      kernels.sum(t.middle, x, projected, scale: config.scales.residual, rows: rows)  // 7
    }
  }

  /// `y = norm(x)`, head by head.
  private func normHeads(_ y: Matrix, _ inverse: Buffer<Float>, _ x: Matrix, _ w: Buffer<Float>, rows: Int) {
    kernels.rmsNorm(
      y.folded(columns: w.count), inverse, x.folded(columns: w.count), w, eps: model.config.normEpsilon, rows: rows)
  }

  /// Turns the heads of `x` to their positions; the inverse is the backward.
  func rotate(_ x: Matrix, by turns: RotaryAngles.Turns, rows: Int, heads: Int, inverse: Bool = false) {
    kernels.rope(
      x, model.config.architecture.rotaryPairs, cosines: turns.cosines, sines: turns.sines, rows: rows, heads: heads,
      inverse: inverse)
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

  /// Layers that read the same input are one product: the frozen weights first, then biases, then what the adapters add.
  private func linear(
    _ block: Int, _ layers: [(LoRATarget, Matrix)], from x: Activations, on t: BlockTape, at place: BlockRows
  ) {
    let weights = model.blocks[block]
    kernels.linear(layers.map { layer, y in (y, weights[layer]) }, x)
    for (layer, y) in layers {
      if let bias = weights.bias(layer) { kernels.add(y, row: bias, rows: place.rows) }
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
