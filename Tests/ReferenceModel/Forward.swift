/// The family's forward for one sequence from position 0. `Backward.swift` has the same numbered lines in the opposite order.

extension TwinModel {
  /// Runs `tokens` (at least one, each below `V`) under the base weights plus `adapter`.
  public func forward(_ tokens: [Int], _ adapter: TwinAdapter = TwinAdapter()) -> TwinTape {
    precondition(!tokens.isEmpty, "a sequence needs at least one token")
    var t = TwinTape(config, tokens: tokens)
    t.hidden = embed(tokens, adapter)  // 0
    for block in 0..<config.blockCount {
      t.blocks[block].x = t.hidden
      forward(block, &t.blocks[block], adapter)  // 1 to 11
      t.hidden = t.blocks[block].out
    }
    t.outputNorm = twinRMSNorm(t.hidden, weight(TwinName.outputNorm), eps: config.eps)  // 12
    t.logits = linear(t.outputNorm, headName, adapter)  // 13
    t.logits.multiply(by: config.logitScale)  // 13
    t.logSum = twinLogSumExp(t.logits)  // 14
    t.logProbs = twinLogProbs(t.logits, t.logSum, targets: t.targets)  // 14
    return t
  }

  private func forward(_ block: Int, _ t: inout TwinBlockTape, _ adapter: TwinAdapter) {
    let config = config.of(block)
    func apply(_ layer: TwinLinear, _ x: TwinTensor) -> TwinTensor {
      var y = linear(x, layer.name(block), adapter)
      if let bias = weights[layer.biasName(block)] { y.addRow(bias) }
      return y
    }

    t.attnNorm = twinRMSNorm(t.x, weight(TwinName.attnNorm(block)), eps: config.eps)  // 1
    t.qProjected = apply(.attnQ, t.attnNorm)  // 2a
    t.kProjected = apply(.attnK, t.attnNorm)  // 2b
    t.v = apply(.attnV, t.attnNorm)  // 2c
    (t.q, t.k) = (t.qProjected, t.kProjected)
    if let w = weights[TwinName.attnQNorm(block)] { t.q = twinHeadNorm(t.q, w, eps: config.eps) }  // 2d
    if let w = weights[TwinName.attnKNorm(block)] { t.k = twinHeadNorm(t.k, w, eps: config.eps) }  // 2e
    t.q = twinRoPE(t.q, config, ofQueries: true)  // 3a
    t.k = twinRoPE(t.k, config)  // 3b
    (t.attention, t.probabilities) = twinAttention(q: t.q, k: t.k, v: t.v, config)  // 4
    t.attnOut = apply(.attnOutput, t.attention)  // 5
    t.middle = t.x  // 6
    t.middle.add(t.attnOut, scale: config.residualScale)  // 6
    t.ffnNorm = twinRMSNorm(t.middle, weight(TwinName.ffnNorm(block)), eps: config.eps)  // 7
    t.gate = apply(.ffnGate, t.ffnNorm)  // 8a
    t.up = apply(.ffnUp, t.ffnNorm)  // 8b
    t.act = twinSwiGLU(t.gate, t.up)  // 9
    t.ffnOut = apply(.ffnDown, t.act)  // 10
    t.out = t.middle  // 11
    t.out.add(t.ffnOut, scale: config.residualScale)  // 11
  }

  private func embed(_ tokens: [Int], _ adapter: TwinAdapter) -> TwinTensor {
    let table = weight(TwinName.tokenEmbd)
    var x = TwinTensor(rows: tokens.count, columns: config.dim, values: tokens.flatMap { table.row($0) })
    if let lora = adapter.modules[TwinName.tokenEmbd] {
      x.add(oneHot(tokens).timesTransposed(lora.a).timesTransposed(lora.b), scale: lora.scale)
    }
    x.multiply(by: config.embeddingScale)
    return x
  }

  /// `[T, V]`: 1 at each row's token.
  func oneHot(_ tokens: [Int]) -> TwinTensor {
    var x = TwinTensor(zeros: tokens.count, config.vocabularySize)
    for (row, token) in tokens.enumerated() { x.values[row * x.columns + token] = 1 }
    return x
  }
}
