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
    let (config, weights) = (model.config, model.blocks[block])
    func backward(_ layer: LoRATarget, _ dx: Matrix?, from dy: Matrix, at x: Matrix) {
      LinearLayer(weight: weights[layer], kernels: kernels).backward(
        dx, from: dy, at: x, slot: policy.slot(layer, block), low: t.low(layer),
        gradients.pair(layer.tensorName(block: block)), rows: rows,
        integers: integers, dropout: t.dropout)
    }

    // 12: the residual stream passes `d` on as it is
    dt.act.matrix.clear()
    backward(.ffnDown, dt.act.matrix, from: d, at: t.act.matrix)  // 11
    kernels.swiGLUBackward(dt.gate, dt.up, dt.act.matrix, t.gate, t.up, rows: rows)  // 10
    dt.ffnNorm.matrix.clear()
    backward(.ffnUp, dt.ffnNorm.matrix, from: dt.up, at: t.ffnNorm.matrix)  // 9b
    backward(.ffnGate, dt.ffnNorm.matrix, from: dt.gate, at: t.ffnNorm.matrix)  // 9a
    kernels.rmsNormBackward(d, dt.ffnNorm.matrix, t.middle, weights.ffnNorm, t.ffnInverse, rows: rows)  // 8

    // 7: the residual stream again
    dt.attnOut.matrix.clear()
    backward(.attnOutput, dt.attnOut.matrix, from: d, at: t.attnOut.matrix)  // 6
    kernels.attentionBackward(  // 5, 4
      dq: dt.q, dk: dt.k, dv: dt.v, dt.attnOut.matrix, t.attnOut.matrix, t.logSum, t.q, place.attended, forward.shape)
    for (dx, heads) in [(dt.k, config.kvHeadCount), (dt.q, config.headCount)] {  // 3
      kernels.rope(
        dx, cosines: place.angles.cosines, sines: place.angles.sines, rows: rows, heads: heads,
        inverse: true)
    }
    let dNorm = needsInput ? dt.attnNorm.matrix : nil
    dNorm?.clear()
    backward(.attnV, dNorm, from: dt.v, at: t.attnNorm.matrix)  // 2c
    backward(.attnK, dNorm, from: dt.k, at: t.attnNorm.matrix)  // 2b
    backward(.attnQ, dNorm, from: dt.q, at: t.attnNorm.matrix)  // 2a
    if let dNorm { kernels.rmsNormBackward(d, dNorm, x, weights.attnNorm, t.attnInverse, rows: rows) }  // 1
  }
}
