import Adapters
import Tensors

/// One transformer block, backward: `Forward.swift` read upwards, with its numbers.
struct BlockBackward {
  let forward: BlockForward
  let policy: Policy
  let gradients: LoRAGradients
  /// See `Kernels.linearBackward`.
  let integers: QuantizedRows?

  /// Turns `d [T, D]`, the gradient of the block's output, into the gradient of its input, in place.
  ///
  /// - Parameters:
  ///   - x: the block's input; `t`: the tape of its forward.
  ///   - dt: room for the gradients of everything on the tape.
  ///   - needsInput: false for the lowest adapted block, below which no gradient is used: `d` is then left unfinished.
  func callAsFunction(
    _ block: Int, _ d: Matrix, at x: Matrix, on t: BlockTape, room dt: BlockTape, at place: BlockRows, needsInput: Bool
  ) {
    let (kernels, model, rows) = (forward.kernels, forward.model, place.rows)
    let (weights, shape) = (model.blocks[block], model.attention(block))
    func backward(_ layer: LoRATarget, _ dx: Matrix?, from dy: Matrix, at x: Matrix) {
      LinearLayer(weight: weights[layer], kernels: kernels).backward(
        dx, from: dy, at: x, slot: policy.slot(layer, block), low: t.low(layer),
        gradients.pair(layer.tensorName(block: block)), rows: rows,
        integers: integers, dropout: t.dropout)
    }

    // 12: the residual stream passes `d` on as it is; what was added to it, scaled
    dt.act.matrix.clear()
    backward(.ffnDown, dt.act.matrix, from: added(d, rows), at: t.act.matrix)  // 11
    kernels.swiGLUBackward(dt.gate, dt.up, dt.act.matrix, t.gate, t.up, rows: rows)  // 10
    dt.ffnNorm.matrix.clear()
    backward(.ffnUp, dt.ffnNorm.matrix, from: dt.up, at: t.ffnNorm.matrix)  // 9b
    backward(.ffnGate, dt.ffnNorm.matrix, from: dt.gate, at: t.ffnNorm.matrix)  // 9a
    kernels.rmsNormBackward(d, dt.ffnNorm.matrix, t.middle, weights.ffnNorm, t.ffnInverse, rows: rows)  // 8

    // 7: the residual stream again
    dt.attnOut.matrix.clear()
    backward(.attnOutput, dt.attnOut.matrix, from: added(d, rows), at: t.attnOut.matrix)  // 6
    kernels.attentionBackward(  // 5, 4
      dq: dt.q, dk: dt.k, dv: dt.v, dt.attnOut.matrix, t.attnOut.matrix, t.logSum, t.q, place.attended, shape)
    forward.rotate(dt.k, by: place.angles.keys, rows: rows, heads: shape.kvHeads, inverse: true)  // 3
    forward.rotate(dt.q, by: place.angles.queries, rows: rows, heads: shape.heads, inverse: true)
    if let norms = weights.headNorms {  // 2d
      normHeads(dt.kProjected, dt.k, t.kProjected, norms.k, t.kInverse, rows: rows * shape.kvHeads)
      normHeads(dt.qProjected, dt.q, t.qProjected, norms.q, t.qInverse, rows: rows * shape.heads)
    }
    let dNorm = needsInput ? dt.attnNorm.matrix : nil
    dNorm?.clear()
    backward(.attnV, dNorm, from: dt.v, at: t.attnNorm.matrix)  // 2c
    backward(.attnK, dNorm, from: dt.kProjected, at: t.attnNorm.matrix)  // 2b
    backward(.attnQ, dNorm, from: dt.qProjected, at: t.attnNorm.matrix)  // 2a
    if let dNorm { kernels.rmsNormBackward(d, dNorm, x, weights.attnNorm, t.attnInverse, rows: rows) }  // 1
  }

  /// The gradient of a layer's result, of which the residual stream has taken a multiple.
  private func added(_ d: Matrix, _ rows: Int) -> Matrix {
    let scale = forward.model.config.scales.residual
    guard scale != 1 else { return d }
    let scaled = forward.projected
    scaled.clear()
    forward.kernels.add(scaled, d, scale: scale, rows: rows)
    return scaled
  }

  /// `dx`, overwritten, from `dy` of the norm of each head.
  private func normHeads(
    _ dx: Matrix, _ dy: Matrix, _ x: Matrix, _ w: Buffer<Float>, _ inverse: Buffer<Float>, rows: Int
  ) {
    dx.clear()
    forward.kernels.rmsNormBackward(
      dx.folded(columns: w.count), dy.folded(columns: w.count), x.folded(columns: w.count), w, inverse, rows: rows)
  }
}
