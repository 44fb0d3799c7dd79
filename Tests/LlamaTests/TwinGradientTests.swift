/// Every gradient of A and B against the float64 twin, whose own backward is checked by differences.

import Adapters
import Llama
import ReferenceModel
import Tensors
import TestSupport
import Testing

@Suite struct TwinGradientTests {
  /// A batch of groups of different lengths: a pair that shares less than a page, of which one answer goes on into the next, a
  /// pair that shares a page and a bit, with an answer of one token, and three answers to a prompt of one.
  private func groups(_ model: LlamaModel) -> [ScoredGroup] {
    [
      model.group(prompt: 5, answers: [70, 4], seed: 1), model.group(prompt: 66, answers: [1, 6], seed: 2),
      model.group(prompt: 1, answers: [2, 1, 3], seed: 3),
    ]
  }

  private func weights(_ groups: [ScoredGroup]) -> [[[Float]]] {
    groups.enumerated().map { g, group in
      group.answers.enumerated().map { Seeded(20 + 10 * UInt64(g) + UInt64($0)).floats($1.count) }
    }
  }

  /// The twin's gradient of the same weighted sum, every answer a sequence of its own.
  private func want(_ twin: TwinModel, _ adapter: TwinAdapter, _ groups: [ScoredGroup]) -> TwinAdapter {
    var sum = TwinAdapter(zerosLike: adapter)
    for (group, weights) in zip(groups, weights(groups)) {
      for (answer, weights) in zip(group.answers, weights) {
        let prompt = [Double](repeating: 0, count: group.prompt.count - 1)
        let tape = twin.forward((group.prompt + answer).map(Int.init), adapter)
        sum.add(twin.backward(prompt + weights.map(Double.init), at: tape, adapter).gradient)
      }
    }
    return sum
  }

  private func got(
    _ policy: Policy, _ groups: [ScoredGroup], kept: TrainingPass.Kept = .nothing, _ backward: BackwardPrecision
  ) throws -> LoRAGradients {
    let rows = groups.reduce(0) { $0 + $1.rows }
    let pass = TrainingPass(policy, maximumRows: rows, kept: kept, backward: backward)
    _ = try pass.forward(groups)
    pass.backward(weights: weights(groups))
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
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .f32)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, _ in error < 1e-4 }
  }

  /// A gradient that passes a layer as integers moves by some 1e-4 of itself (±8191 of the largest of 32, twice), so after
  /// a dozen layers by less than 1e-3.
  @Test(arguments: Tiny.allCases, [1, 3, 8]) func integerGradients(tiny: Tiny, rank: Int) throws {
    let file = try tiny.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: rank)
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .int16)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, _ in error < 1e-3 }
  }

  /// Both directions in integers. The rounding of inputs is passed straight through, so this stays near the gradient of exact
  /// arithmetic.
  @Test(arguments: [Tiny.bytes, .nibbles, .kQuants, .qwen2], [1, 3, 8])
  func int16Gradients(tiny: Tiny, rank: Int) throws {
    let file = try tiny.file()
    let model = try file.load(.int16)
    let adapter = LoRAAdapter.random(model, rank: rank)
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .int16)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, cosine in
      error < 0.01 && cosine >= 0.9999
    }
  }

  /// Only some layers, none in block 0, and ranks that differ from layer to layer.
  private func patchwork(_ model: LlamaModel) -> LoRAAdapter {
    let names: [(String, Int)] = [
      ("blk.1.attn_v.weight", 2), ("blk.1.ffn_down.weight", 5), ("blk.2.attn_q.weight", 1), ("blk.2.ffn_up.weight", 5),
    ]
    let modules = names.flatMap { name, rank in LoRAAdapter.random(model, rank: rank, only: { $0 == name }).modules }
    return LoRAAdapter(architecture: model.config.architecture.name, alpha: 5, modules: modules)
  }

  @Test func aPatchworkOfLayersAndRanks() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = patchwork(model)
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .f32)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, _ in error < 1e-4 }
  }

  /// Of the embedding alone: every block passes the gradient on, and a token that comes twice gets both parts. Granite's is scaled.
  @Test(arguments: [Tiny.float, .nibbles, .granite]) func onlyTheEmbedding(tiny: Tiny) throws {
    let file = try tiny.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3, only: { $0 == TensorName.tokenEmbd })
    #expect(adapter.modules.count == 1)
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .f32)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, _ in error < 1e-4 }
  }

  /// Of the head alone: no block has anything to pass down.
  @Test func onlyTheHead() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3, only: { $0 == TensorName.output })
    #expect(adapter.modules.count == 1)
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .f32)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, _ in error < 1e-4 }
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
      let zero = module.name == TensorName.tokenEmbd ? module.a : module.b
      for (i, value) in Seeded(4, module.name).normals(zero.count, deviation: 0.1).enumerated() {
        zero.pointer[i] = value
      }
    }
    var twin = adapter.twin
    for name in twin.names {
      let rank = name == "blk.1.attn_q.weight" ? 9.0 : name.contains("attn_q") ? 2 : 4
      let alpha = name.contains("ffn") ? 6.0 : name == "output.weight" ? 1 : 3
      twin.modules[name]?.scale = alpha / rank.squareRoot()
    }
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter), groups, .f32)
    compare(got, want(try file.twin(), twin, groups), adapter) { error, _ in error < 1e-4 }
  }

  /// The head takes 256 rows at a time, attention 64 positions.
  @Test func longAnswers() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 2)
    let groups = [
      model.group(prompt: 3, answers: [190, 65], seed: 3), model.group(prompt: 130, answers: [100], seed: 4),
    ]
    let got = try got(Policy(model, adapter: adapter), groups, .f32)
    compare(got, want(try file.twin(), adapter.twin, groups), adapter) { error, _ in error < 1e-4 }
  }

  @Test func theAdaptersOwnScaleAndThePolicysMultiply() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 2, alpha: 3)
    var twin = adapter.twin
    for name in twin.names { twin.modules[name]?.scale = 0.75 }
    let groups = groups(model)
    let got = try got(Policy(model, adapter: adapter, scale: 0.5), groups, .f32)
    compare(got, want(try file.twin(), twin, groups), adapter) { error, _ in error < 1e-4 }
  }

  /// d loss / d A and B of one INPO pair, as a trainer uses the pass: the loss's slope for every token of the chosen
  /// answer, its negative for the rejected one.
  @Test func lossOfAPair() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3)
    let (prompt, chosen, rejected) = (model.tokens(6), model.tokens(7, seed: 5), model.tokens(9, seed: 6))
    let pass = TrainingPass(try Policy(model, adapter: adapter), maximumRows: 40, kept: .nothing, backward: .f32)
    let logProbs = try pass.forward([ScoredGroup(prompt: prompt, answers: [chosen, rejected])])[0]
    let sums = logProbs.map { $0.reduce(0) { $0 + Double($1) } }
    let loss = TwinINPO(eta: 0.05, ratio: 1.0 / 3)
    let slope = Float(loss(policy: sums[0] - sums[1], reference: 1.5, previous: -0.5).dPolicy)
    pass.backward(weights: [[logProbs[0].map { _ in slope }, logProbs[1].map { _ in -slope }]])

    let ids = [prompt, chosen, rejected].map { $0.map(Int.init) }
    let pair = TwinPair(prompt: ids[0], chosen: ids[1], rejected: ids[2], reference: 1.5, previous: -0.5)
    let want = try file.twin().lossGradients([pair], loss, adapter.twin).gradient
    compare(pass.gradients, want, adapter) { error, _ in error < 1e-4 }
  }

  // MARK: Equal bits

  private func gradientBits(_ gradients: LoRAGradients) -> [[UInt32]] {
    bits(gradients.pairs.flatMap { [$0.a.values, $0.b.values] })
  }

  @Test(
    arguments: [
      (Tiny.bytes, KVFormat.f32, BackwardPrecision.int16), (.bytes, .f32, .f32), (.kQuants, .q8_0, .int16),
      (.qwen2, .f32, .int16), (.qwen3, .f32, .f32), (.granite, .f32, .int16), (.uneven, .f32, .int16),
    ], Precision.allCases)
  func recomputingChangesNoBit(
    of: (tiny: Tiny, kv: KVFormat, backward: BackwardPrecision), precision: Precision
  ) throws {
    let model = try of.tiny.load(precision, kv: of.kv)
    for adapter in [LoRAAdapter.random(model, rank: 3), patchwork(model)] {
      let policy = try Policy(model, adapter: adapter)
      let groups = groups(model)
      let all = gradientBits(try got(policy, groups, kept: .all(of: model), of.backward))
      for attention in 0...model.config.blockCount {
        for feedForward in 0...model.config.blockCount {
          let kept = TrainingPass.Kept(attention: attention, feedForward: feedForward)
          #expect(gradientBits(try got(policy, groups, kept: kept, of.backward)) == all, "\(kept)")
        }
      }
    }
  }

  @Test(arguments: [Tiny.float, .nibbles, .kQuants, .qwen2, .qwen3, .mistral3], BackwardPrecision.allCases)
  func threadsAndTablesChangeNoBit(tiny: Tiny, backward: BackwardPrecision) throws {
    let file = try tiny.file()
    func gradients(_ table: String?, _ threads: Int) throws -> [[UInt32]] {
      let model = try file.load(.int16, table: table, threads: threads)
      let policy = try Policy(model, adapter: .random(model, rank: 3))
      return gradientBits(try got(policy, groups(model), backward))
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
    let groups = groups(model)
    let pass = TrainingPass(policy, maximumRows: 300, kept: .init(attention: 1, feedForward: 2))
    _ = try pass.forward([model.group(prompt: 30, answers: [50, 200], seed: 9)])
    pass.backward(weights: [[Seeded(1).floats(50), Seeded(2).floats(200)]])
    pass.gradients.clear()
    _ = try pass.forward(groups)
    pass.backward(weights: weights(groups))
    #expect(gradientBits(pass.gradients) == gradientBits(try got(policy, groups, .int16)))
  }

  /// What shares a pass, or a prompt, adds up: one pass over all groups, a pass for each group, and one for each answer.
  ///
  /// Apart, each gradient is as near to the exact one as `floatGradients` says, some 4e-6 of its length in the mean; so is
  /// their sum. Five times that for two of them is still far below any answer's share. In integers a row's gradient depends on
  /// no other row either, but of a shared prompt the sum of its answers' gradients is rounded, and not each: both are within
  /// what `integerGradients` says.
  @Test(arguments: [Tiny.float, .nibbles, .kQuants, .qwen3, .mistral3, .uneven], BackwardPrecision.allCases)
  func sharingAndPackingOnlyRound(tiny: Tiny, backward: BackwardPrecision) throws {
    let model = try tiny.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3)
    let policy = try Policy(model, adapter: adapter)
    let (groups, weights) = (groups(model), weights(groups(model)))
    let pass = TrainingPass(policy, maximumRows: 300, kept: .nothing, backward: backward)
    func length(_ values: [Float]) -> Double { values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() }
    func expectNear(_ want: [(a: [Float], b: [Float])], _ bound: Double, _ what: String) {
      for (pair, want) in zip(pass.gradients.pairs, want) {
        for (x, y) in [(pair.a.values, want.a), (pair.b.values, want.b)] {
          #expect(length(zip(x, y).map(-)) <= bound * length(y), "\(what)")
        }
      }
      pass.gradients.clear()
    }
    let together = try got(policy, groups, backward).pairs.map { ($0.a.values, $0.b.values) }
    for (group, weights) in zip(groups, weights) {
      _ = try pass.forward([group])
      pass.backward(weights: [weights])
    }
    expectNear(together, 4e-5, "a pass for each group")
    for (group, weights) in zip(groups, weights) {
      for (answer, weights) in zip(group.alone, weights) {
        _ = try pass.forward([answer])
        pass.backward(weights: [[weights]])
      }
    }
    expectNear(together, backward == .int16 ? 2e-3 : 4e-5, "a pass for each answer")
  }
}
