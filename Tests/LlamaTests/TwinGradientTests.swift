/// Every gradient of A and B against the float64 twin, whose own backward is checked by differences.

import Adapters
import Llama
import ReferenceModel
import Tensors
import TestSupport
import Testing

@Suite struct TwinGradientTests {
  /// A page and a bit, and a short one, so that a batch holds sequences of different lengths.
  private func sequences(_ model: LlamaModel) -> [ScoredSequence] {
    [model.sequence(prompt: 5, answer: 70, seed: 1), model.sequence(prompt: 9, answer: 4, seed: 2)]
  }

  private func weights(_ sequences: [ScoredSequence]) -> [[Float]] {
    sequences.enumerated().map { Seeded(20 + UInt64($0)).floats($1.answer.count) }
  }

  /// The twin's gradient of the same weighted sum.
  private func want(_ twin: TwinModel, _ adapter: TwinAdapter, _ sequences: [ScoredSequence]) -> TwinAdapter {
    var sum = TwinAdapter(zerosLike: adapter)
    for (sequence, weights) in zip(sequences, weights(sequences)) {
      let prompt = [Double](repeating: 0, count: sequence.answerStart - 1)
      let coefficients = prompt + weights.map(Double.init)
      sum.add(twin.backward(coefficients, at: twin.forward(sequence.ids, adapter), adapter).gradient)
    }
    return sum
  }

  private func got(_ policy: Policy, _ sequences: [ScoredSequence], kept: Int = 99) throws -> LoRAGradients {
    let rows = sequences.reduce(0) { $0 + $1.tokens.count }
    let pass = TrainingPass(policy, maximumRows: rows, kept: kept)
    _ = try pass.forward(sequences)
    pass.backward(weights: weights(sequences))
    return pass.gradients
  }

  /// `closeEnough(‖got − want‖ / ‖want‖, cosine)` for every A and B.
  private func compare(
    _ got: LoRAGradients, _ want: TwinAdapter, _ adapter: LoRAAdapter, closeEnough: (Double, Double) -> Bool
  ) {
    #expect(got.names == adapter.modules.map(\.name))
    for (name, pair) in zip(got.names, got.pairs) {
      guard let module = want.modules[name] else { continue }
      for (letter, g, w) in [("A", pair.a.values, module.a.values), ("B", pair.b.values, module.b.values)] {
        let x = g.map(Double.init)
        func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        let error = (dot(zip(x, w).map(-), zip(x, w).map(-)) / dot(w, w)).squareRoot()
        let cosine = dot(x, w) / (dot(x, x) * dot(w, w)).squareRoot()
        #expect(closeEnough(error, cosine), "\(letter) of \(name): relative error \(error), cosine \(cosine)")
      }
    }
  }

  /// Float: 1e-4 is a hundred times what one rounding per stage leaves (about 40 stages back and forth, √40 · 2⁻²⁴ · √K
  /// with K of some hundred is 4e-6 in the mean), and far below what any wrong term would be.
  @Test(arguments: Tiny.allCases, [1, 3, 8]) func floatGradients(tiny: Tiny, rank: Int) throws {
    let file = try tiny.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: rank)
    let sequences = sequences(model)
    let got = try got(Policy(model, adapter: adapter), sequences)
    compare(got, want(try file.twin(), adapter.twin, sequences), adapter) { error, _ in error < 1e-4 }
  }

  /// The rounding of inputs is passed straight through, so int16 stays near the gradient of exact arithmetic.
  @Test(arguments: [Tiny.bytes, .nibbles, .kQuants], [1, 3, 8]) func int16Gradients(tiny: Tiny, rank: Int) throws {
    let file = try tiny.file()
    let model = try file.load(.int16)
    let adapter = LoRAAdapter.random(model, rank: rank)
    let sequences = sequences(model)
    let got = try got(Policy(model, adapter: adapter), sequences)
    compare(got, want(try file.twin(), adapter.twin, sequences), adapter) { _, cosine in cosine >= 0.9999 }
  }

  /// Only some layers, none in block 0, and ranks that differ from layer to layer.
  private func patchwork(_ model: LlamaModel) -> LoRAAdapter {
    let names: [(String, Int)] = [
      ("blk.1.attn_v.weight", 2), ("blk.1.ffn_down.weight", 5), ("blk.2.attn_q.weight", 1), ("blk.2.ffn_up.weight", 5),
    ]
    let modules = names.flatMap { name, rank in LoRAAdapter.random(model, rank: rank, only: { $0 == name }).modules }
    return LoRAAdapter(architecture: "llama", alpha: 5, modules: modules)
  }

  @Test func aPatchworkOfLayersAndRanks() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = patchwork(model)
    let sequences = sequences(model)
    let got = try got(Policy(model, adapter: adapter), sequences)
    compare(got, want(try file.twin(), adapter.twin, sequences), adapter) { error, _ in error < 1e-4 }
  }

  /// Of the head alone: no block has anything to pass down.
  @Test func onlyTheHead() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3, only: { $0 == TensorName.output })
    #expect(adapter.modules.count == 1)
    let sequences = sequences(model)
    let got = try got(Policy(model, adapter: adapter), sequences)
    compare(got, want(try file.twin(), adapter.twin, sequences), adapter) { error, _ in error < 1e-4 }
  }

  /// Ranks and alphas of some layers, and alpha over the root of the rank; the twin's scales are worked out by hand.
  @Test func patternsAndRankStabilisation() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let options = LoRAOptions(
      rank: 4, alpha: 3, rankPattern: try .ranks("blk.1.attn_q=9,attn_q=2"),
      alphaPattern: try .alphas("mlp=6,output=1"),
      isRankStabilised: true)
    let adapter = try LoRAAdapter.fresh(architecture: "llama", options: options, seed: 2, shapes: model.adaptable)
    for module in adapter.modules {
      for (i, value) in Seeded(4, module.name).normals(module.b.count, deviation: 0.1).enumerated() {
        module.b.pointer[i] = value
      }
    }
    var twin = adapter.twin
    for name in twin.names {
      let rank = name == "blk.1.attn_q.weight" ? 9.0 : name.contains("attn_q") ? 2 : 4
      let alpha = name.contains("ffn") ? 6.0 : name == "output.weight" ? 1 : 3
      twin.modules[name]?.scale = alpha / rank.squareRoot()
    }
    let sequences = sequences(model)
    let got = try got(Policy(model, adapter: adapter), sequences)
    compare(got, want(try file.twin(), twin, sequences), adapter) { error, _ in error < 1e-4 }
  }

  /// The head takes 256 rows at a time, attention 64 positions.
  @Test func longAnswers() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 2)
    let sequences = [model.sequence(prompt: 3, answer: 190, seed: 3), model.sequence(prompt: 40, answer: 100, seed: 4)]
    let got = try got(Policy(model, adapter: adapter), sequences)
    compare(got, want(try file.twin(), adapter.twin, sequences), adapter) { error, _ in error < 1e-4 }
  }

  @Test func theAdaptersOwnScaleAndThePolicysMultiply() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 2, alpha: 3)
    var twin = adapter.twin
    for name in twin.names { twin.modules[name]?.scale = 0.75 }
    let sequences = sequences(model)
    let got = try got(Policy(model, adapter: adapter, scale: 0.5), sequences)
    compare(got, want(try file.twin(), twin, sequences), adapter) { error, _ in error < 1e-4 }
  }

  /// d loss / d A and B of one INPO pair, as a trainer uses the pass: the loss's slope for every token of the chosen
  /// answer, its negative for the rejected one.
  @Test func lossOfAPair() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3)
    let (prompt, chosen, rejected) = (model.tokens(6), model.tokens(7, seed: 5), model.tokens(9, seed: 6))
    let pass = TrainingPass(try Policy(model, adapter: adapter), maximumRows: 40, kept: 0)
    let logProbs = try pass.forward([
      ScoredSequence(prompt: prompt, answer: chosen), ScoredSequence(prompt: prompt, answer: rejected),
    ])
    let sums = logProbs.map { $0.reduce(0) { $0 + Double($1) } }
    let loss = TwinINPO(eta: 0.05, ratio: 1.0 / 3)
    let slope = Float(loss(policy: sums[0] - sums[1], reference: 1.5, previous: -0.5).dPolicy)
    pass.backward(weights: [logProbs[0].map { _ in slope }, logProbs[1].map { _ in -slope }])

    let ids = [prompt, chosen, rejected].map { $0.map(Int.init) }
    let pair = TwinPair(prompt: ids[0], chosen: ids[1], rejected: ids[2], reference: 1.5, previous: -0.5)
    let want = try file.twin().lossGradients([pair], loss, adapter.twin).gradient
    compare(pass.gradients, want, adapter) { error, _ in error < 1e-4 }
  }

  // MARK: Equal bits

  private func gradientBits(_ gradients: LoRAGradients) -> [[UInt32]] {
    bits(gradients.pairs.flatMap { [$0.a.values, $0.b.values] })
  }

  @Test(arguments: Precision.allCases) func recomputingChangesNoBit(precision: Precision) throws {
    let model = try Tiny.bytes.load(precision)
    for adapter in [LoRAAdapter.random(model, rank: 3), patchwork(model)] {
      let policy = try Policy(model, adapter: adapter)
      let sequences = sequences(model)
      let all = gradientBits(try got(policy, sequences))
      for kept in 0..<model.config.blockCount {
        #expect(gradientBits(try got(policy, sequences, kept: kept)) == all, "\(kept) blocks kept")
      }
    }
  }

  @Test(arguments: [Tiny.float, .nibbles, .kQuants]) func threadsAndTablesChangeNoBit(tiny: Tiny) throws {
    let file = try tiny.file()
    func gradients(_ table: String?, _ threads: Int) throws -> [[UInt32]] {
      let model = try file.load(.int16, table: table, threads: threads)
      let policy = try Policy(model, adapter: .random(model, rank: 3))
      return gradientBits(try got(policy, sequences(model)))
    }
    let specification = try gradients("scalar", 1)
    for table in Kernels.available {
      for threads in [1, 2, 3] {
        #expect(try gradients(table, threads) == specification, "\(table), \(threads) threads")
      }
    }
  }

  @Test func aSecondUseOfAPassLeavesNothingOfTheFirst() throws {
    let model = try Tiny.nibbles.load()
    let policy = try Policy(model, adapter: .random(model, rank: 3))
    let sequences = sequences(model)
    let pass = TrainingPass(policy, maximumRows: 100, kept: 1)
    _ = try pass.forward([model.sequence(prompt: 30, answer: 50, seed: 9)])
    pass.backward(weights: [Seeded(1).floats(50)])
    pass.gradients.clear()
    _ = try pass.forward(sequences)
    pass.backward(weights: weights(sequences))
    #expect(gradientBits(pass.gradients) == gradientBits(try got(policy, sequences)))
  }

  /// Adding up: a pass over both sequences equals the sum of a pass over each, up to the rounding of sums.
  @Test func gradientsAddUp() throws {
    let model = try Tiny.nibbles.load()
    let policy = try Policy(model, adapter: .random(model, rank: 3))
    let sequences = sequences(model)
    let together = try got(policy, sequences)
    let pass = TrainingPass(policy, maximumRows: 100, kept: 0)
    for (sequence, weights) in zip(sequences, weights(sequences)) {
      _ = try pass.forward([sequence])
      pass.backward(weights: [weights])
    }
    for (apart, both) in zip(pass.gradients.pairs, together.pairs) {
      for (x, y) in [(apart.a, both.a), (apart.b, both.b)] {
        let largest = y.values.reduce(0) { max($0, abs($1)) }
        // About 80 terms in another order.
        expectClose(x.values, y.values, absolute: 80 * 0x1p-24 * Double(largest))
      }
    }
  }
}
