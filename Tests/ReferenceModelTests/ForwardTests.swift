/// The forward against identities that hold for any LLaMA, and attention against small cases worked by hand.

import Foundation
import ReferenceModel
import Testing

@Suite struct ForwardTests {
  /// Two evaluations of one function in different orders: values of a few units, some hundred roundings of 1e-16.
  let sameFunction = 1e-12

  @Test func probabilitiesSumToOne() {
    let tape = Tiny.model.forward(Tiny.tokens, Tiny.adapter)
    for t in Tiny.tokens.indices {
      let sum = tape.logits.row(t).reduce(0) { $0 + exp($1 - tape.logSum[t]) }
      #expect(abs(sum - 1) < 1e-14)
    }
    #expect(tape.logProbs.count == Tiny.tokens.count - 1)
    #expect(tape.logProbs.allSatisfy { $0 < 0 })
    #expect(tape.logProbs[2] == tape.logits[2, Tiny.tokens[3]] - tape.logSum[2])
  }

  @Test func agreesWithAnotherImplementation() {
    // LlamaForCausalLM of transformers 5.24.0 in float64 (rotary angles, norms and softmax included), with the same
    // weights from the same seeds, query and key rows reordered to its half-split rotation, and the LoRA merged.
    let want = [
      -1.657862299032759, -3.8668438600747814, -1.3969806469779786, -2.1100430503995646, -3.230035442298359,
      -3.9103391530815816,
    ]
    expectClose(Tiny.model.forward(Tiny.tokens, Tiny.adapter).logProbs, want, absolute: sameFunction)
  }

  @Test func laterTokensDoNotChangeEarlierLogits() {
    let tape = Tiny.model.forward(Tiny.tokens, Tiny.adapter)
    var changed = Tiny.tokens
    changed[4] = 0
    let other = Tiny.model.forward(changed, Tiny.adapter)
    let shorter = Tiny.model.forward(Array(Tiny.tokens.prefix(4)), Tiny.adapter)
    for t in 0..<4 {
      #expect(other.logits.row(t) == tape.logits.row(t))
      #expect(Array(shorter.logits.row(t)) == Array(tape.logits.row(t)))
    }
    for t in 4..<7 { #expect(other.logits.row(t) != tape.logits.row(t)) }
  }

  @Test func earlierTokensAndTheirOrderCount() {
    let last = Tiny.model.forward([1, 2, 3, 4]).logits.row(3)
    #expect(Tiny.model.forward([2, 1, 3, 4]).logits.row(3) != last)
    #expect(Tiny.model.forward([5, 2, 3, 4]).logits.row(3) != last)
  }

  @Test func sharedHeadsEqualRepeatedHeads() {
    // Each key/value head written twice, for the two query heads that read it: plain multi-head attention.
    var config = Tiny.config
    config.kvHeadCount = config.headCount
    var weights = Tiny.model.weights
    for block in 0..<config.blockCount {
      for linear in [TwinLinear.attnK, .attnV] {
        let shared = Tiny.model.weight(linear.name(block))
        let size = config.headDim * config.dim
        let values = [0, 0, 1, 1].flatMap { shared.values[$0 * size..<($0 + 1) * size] }
        weights[linear.name(block)] = TwinTensor(rows: 4 * config.headDim, columns: config.dim, values: values)
      }
    }
    let repeated = TwinModel(config: config, weights: weights).forward(Tiny.tokens)
    #expect(repeated.logits == Tiny.model.forward(Tiny.tokens).logits)
  }

  @Test func tiedHeadIsTheEmbedding() {
    let tied = TwinModel.random(Tiny.config, seed: 7, tied: true)
    var weights = tied.weights
    weights[TwinName.output] = tied.weight(TwinName.tokenEmbd)
    let untied = TwinModel(config: Tiny.config, weights: weights)
    #expect(tied.headName == TwinName.tokenEmbd)
    #expect(untied.headName == TwinName.output)
    #expect(tied.forward(Tiny.tokens).logits == untied.forward(Tiny.tokens).logits)
  }

  @Test func scaleZeroIsTheBase() {
    var off = Tiny.adapter
    for name in off.names { off.modules[name]?.scale = 0 }
    let base = Tiny.model.forward(Tiny.tokens).logits
    #expect(Tiny.model.forward(Tiny.tokens, off).logits == base)
    #expect(Tiny.model.forward(Tiny.tokens, Tiny.adapter).logits != base)
  }

  @Test(arguments: TwinLinear.allCases) func adapterEqualsMergedWeight(target: TwinLinear) {
    let adapter = TwinAdapter.random(Tiny.config, rank: 3, scale: 1.5, seed: 8, targets: [target])
    #expect(adapter.names == (0..<2).map(target.name))
    var weights = Tiny.model.weights
    for (name, lora) in adapter.modules { weights[name]?.addProduct(lora.b, lora.a, scale: lora.scale) }
    let merged = TwinModel(config: Tiny.config, weights: weights).forward(Tiny.tokens)
    let apart = Tiny.model.forward(Tiny.tokens, adapter)
    expectClose(apart.logits.values, merged.logits.values, absolute: sameFunction)
    #expect(apart.logits != Tiny.model.forward(Tiny.tokens).logits)
  }

  @Test func attentionByHand() {
    // E = 4, so scores are halved: log 3 at the own position, 0 before, give weights 1/4 and 3/4.
    let config = TwinConfig(dim: 4, blockCount: 1, headCount: 1, kvHeadCount: 1, ffnDim: 1, vocabularySize: 1)
    let q = TwinTensor(rows: 2, columns: 4, values: [9, 9, 9, 9, 1, 0, 0, 0])
    let k = TwinTensor(rows: 2, columns: 4, values: [0, 1, 0, 0, 2 * log(3), 0, 0, 5])
    let v = TwinTensor(rows: 2, columns: 4, values: [4, 0, 8, 1, 0, 4, 8, 1])
    let (out, p) = twinAttention(q: q, k: k, v: v, config)
    expectClose(p.values, [1, 0, 0.25, 0.75], absolute: 1e-15)
    expectClose(out.values, [4, 0, 8, 1, 1, 3, 8, 1], absolute: 1e-14)
  }

  @Test func residualsSurviveSilentLayers() {
    // With attn_output and ffn_down zero every block is the identity: logits = head · norm(embedding).
    var weights = Tiny.model.weights
    for block in 0..<2 {
      for linear in [TwinLinear.attnOutput, .ffnDown] {
        weights[linear.name(block)] = TwinTensor(zerosLike: Tiny.model.weight(linear.name(block)))
      }
    }
    let tape = TwinModel(config: Tiny.config, weights: weights).forward(Tiny.tokens)
    let embedding = Tiny.model.weight(TwinName.tokenEmbd)
    let x = TwinTensor(rows: 7, columns: 12, values: Tiny.tokens.flatMap { embedding.row($0) })
    let norm = twinRMSNorm(x, Tiny.model.weight(TwinName.outputNorm), eps: 1e-5)
    #expect(tape.logits == norm.timesTransposed(Tiny.model.weight(TwinName.output)))
  }

  @Test func floatsMakeTheSameModel() {
    var floats = Tiny.model.weights.mapValues {
      (rows: $0.rows, columns: $0.columns, values: $0.values.map(Float.init))
    }
    floats["rope_freqs.weight"] = (1, 3, [1, 2, 3])
    var config = Tiny.config
    config.ropeFreqs = nil
    let model = TwinModel(config: config, floats: floats)
    #expect(model.config == Tiny.config)
    #expect(model.forward(Tiny.tokens).logits == Tiny.model.forward(Tiny.tokens).logits)
  }
}
