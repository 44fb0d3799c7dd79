/// `Forward.swift` read upwards: gradients of Σ_t c_t · logProbs[t] in every A and B, and in every activation.

extension TwinModel {
  /// - Parameters:
  ///   - coefficients: c, `T − 1` values; zero at positions that do not count (the prompt).
  ///   - t: what `forward` returned for the same adapter.
  /// - Returns: the gradient of the adapter, and the tape of gradients; its `blocks[0].x` is the gradient of the
  ///   scaled embeddings `[T, D]`. Its q and k are gradients before the rotation.
  public func backward(
    _ coefficients: [Double], at t: TwinTape, _ adapter: TwinAdapter = TwinAdapter()
  ) -> (gradient: TwinAdapter, tape: TwinTape) {
    precondition(
      coefficients.count == t.logProbs.count, "\(coefficients.count) coefficients for \(t.logProbs.count) log-probs")
    var gradient = TwinAdapter(zerosLike: adapter)
    var d = TwinTape(config, tokens: t.tokens)
    d.logProbs = coefficients
    twinLogProbsBackward(&d.logits, from: d.logProbs, at: t.logits, t.logSum, targets: t.targets)  // 14
    d.logits.multiply(by: config.logitScale)  // 13
    linearBackward(&d.outputNorm, &gradient, from: d.logits, at: t.outputNorm, headName, adapter)  // 13
    twinRMSNormBackward(
      &d.hidden, from: d.outputNorm, at: t.hidden, weight(TwinName.outputNorm), eps: config.eps)  // 12
    var below = d.hidden
    for block in (0..<config.blockCount).reversed() {
      d.blocks[block].out = below
      backward(block, &d.blocks[block], &gradient, at: t.blocks[block], adapter)  // 11 to 1
      below = d.blocks[block].x
    }
    if let lora = adapter.modules[TwinName.tokenEmbd] {  // 0
      let x = oneHot(t.tokens)
      let scale = lora.scale * config.embeddingScale
      gradient.modules[TwinName.tokenEmbd]?.b.addTransposedProduct(below, x.timesTransposed(lora.a), scale: scale)
      var du = TwinTensor(zeros: x.rows, lora.a.rows)
      du.addProduct(below, lora.b, scale: scale)
      gradient.modules[TwinName.tokenEmbd]?.a.addTransposedProduct(du, x, scale: 1)
    }
    return (gradient, d)
  }

  private func backward(
    _ block: Int, _ d: inout TwinBlockTape, _ gradient: inout TwinAdapter, at t: TwinBlockTape, _ adapter: TwinAdapter
  ) {
    let config = config.of(block)
    func apply(_ layer: TwinLinear, _ dx: inout TwinTensor, from dy: TwinTensor, at x: TwinTensor) {
      linearBackward(&dx, &gradient, from: dy, at: x, layer.name(block), adapter)
    }

    d.middle.add(d.out)  // 11
    d.ffnOut.add(d.out, scale: config.residualScale)  // 11
    apply(.ffnDown, &d.act, from: d.ffnOut, at: t.act)  // 10
    twinSwiGLUBackward(&d.gate, &d.up, from: d.act, at: t.gate, t.up)  // 9
    apply(.ffnUp, &d.ffnNorm, from: d.up, at: t.ffnNorm)  // 8b
    apply(.ffnGate, &d.ffnNorm, from: d.gate, at: t.ffnNorm)  // 8a
    twinRMSNormBackward(
      &d.middle, from: d.ffnNorm, at: t.middle, weight(TwinName.ffnNorm(block)), eps: config.eps)  // 7
    d.x.add(d.middle)  // 6
    d.attnOut.add(d.middle, scale: config.residualScale)  // 6
    apply(.attnOutput, &d.attention, from: d.attnOut, at: t.attention)  // 5
    twinAttentionBackward(
      &d.q, &d.k, &d.v, from: d.attention, at: t.q, t.k, t.v, t.probabilities, config)  // 4
    d.k = twinRoPE(d.k, config, inverse: true)  // 3b
    d.q = twinRoPE(d.q, config, ofQueries: true, inverse: true)  // 3a
    if let w = weights[TwinName.attnKNorm(block)] {  // 2e
      twinHeadNormBackward(&d.kProjected, from: d.k, at: t.kProjected, w, eps: config.eps)
    } else {
      d.kProjected.add(d.k)
    }
    if let w = weights[TwinName.attnQNorm(block)] {  // 2d
      twinHeadNormBackward(&d.qProjected, from: d.q, at: t.qProjected, w, eps: config.eps)
    } else {
      d.qProjected.add(d.q)
    }
    apply(.attnV, &d.attnNorm, from: d.v, at: t.attnNorm)  // 2c
    apply(.attnK, &d.attnNorm, from: d.kProjected, at: t.attnNorm)  // 2b
    apply(.attnQ, &d.attnNorm, from: d.qProjected, at: t.attnNorm)  // 2a
    twinRMSNormBackward(
      &d.x, from: d.attnNorm, at: t.x, weight(TwinName.attnNorm(block)), eps: config.eps)  // 1
  }
}
