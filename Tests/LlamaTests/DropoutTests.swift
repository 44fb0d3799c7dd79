/// Dropout: which inputs it takes, that nothing but its keys decides, and every gradient against the float64 twin.

import Adapters
import Foundation
import Llama
import ReferenceModel
import Tensors
import TestSupport
import Testing

@Suite struct DropoutTests {
  private let dropout = Dropout(rate: 0.3, seed: 4, step: 2)

  // MARK: Which

  @Test func aShareIsTakenAndTheRestMadeLarger() {
    let factors = dropout.factors(of: (0..<200).map { TokenID($0) }, layer: "blk.0.attn_q.weight", columns: 99)
    #expect(Set(factors.values).count == 2)
    let kept = factors.values.filter { $0 != 0 }
    // Of n values, a share of 0.7 with deviation √(0.3 · 0.7 / n); five of them. The rate is a multiple of 2⁻¹⁶.
    let n = Double(factors.count)
    expectClose(Double(kept.count) / n, 0.7, absolute: 5 * (0.21 / n).squareRoot() + 0x1p-16)
    expectClose(kept, kept.map { _ in 1 / 0.7 }, relative: 0x1p-15)
    // No column and no row is favoured, by the same measure.
    for column in 0..<99 {
      let share = Double((0..<200).count { factors[$0, column] != 0 }) / 200
      expectClose(share, 0.7, absolute: 5 * (0.21 / 200).squareRoot(), "column \(column)")
    }
    for row in 0..<200 {
      let share = Double(factors.row(row).count { $0 != 0 }) / 99
      expectClose(share, 0.7, absolute: 5 * (0.21 / 99).squareRoot(), "row \(row)")
    }
  }

  @Test func keysDecide() {
    let tokens: [TokenID] = [5, 9, 5, 9, 7]
    func factors(_ dropout: Dropout, _ tokens: [TokenID], _ layer: String = "blk.0.attn_q.weight") -> [[Float]] {
      let matrix = dropout.factors(of: tokens, layer: layer, columns: 40)
      return tokens.indices.map { Array(matrix.row($0)) }
    }
    let rows = factors(dropout, tokens)
    #expect(Set(rows).count == tokens.count, "the same token at another place is another row")
    let prefix = factors(dropout, [5, 9, 5, 8])
    #expect(Array(prefix[..<3]) == Array(rows[..<3]), "a shared prompt")
    #expect(prefix[3] != rows[3])
    #expect(factors(dropout, tokens, "blk.0.attn_k.weight")[0] != rows[0])
    #expect(factors(Dropout(rate: 0.3, seed: 5, step: 2), tokens)[0] != rows[0])
    #expect(factors(Dropout(rate: 0.3, seed: 4, step: 3), tokens)[0] != rows[0])
  }

  // MARK: Bits

  private static let all = TrainingPass.Kept(attention: 99, feedForward: 99)

  private func groups(_ model: LlamaModel) -> [ScoredGroup] {
    [model.group(prompt: 5, answers: [70, 3], seed: 1), model.group(prompt: 9, answers: [4], seed: 2)]
  }

  private func weights(_ groups: [ScoredGroup]) -> [[[Float]]] {
    groups.enumerated().map { g, group in
      group.answers.enumerated().map { Seeded(20 + 10 * UInt64(g) + UInt64($0)).floats($1.count) }
    }
  }

  private func run(
    _ policy: Policy, _ groups: [ScoredGroup], _ dropout: Dropout?, kept: TrainingPass.Kept = Self.all,
    _ backward: BackwardPrecision = .int16
  ) throws -> (logProbs: [[[Float]]], gradients: LoRAGradients) {
    let pass = TrainingPass(policy, maximumRows: 200, kept: kept, backward: backward)
    let logProbs = try pass.forward(groups, dropout: dropout)
    pass.backward(weights: weights(groups))
    return (logProbs, pass.gradients)
  }

  private func gradientBits(_ gradients: LoRAGradients) -> [[UInt32]] {
    bits(gradients.pairs.flatMap { [$0.a.values, $0.b.values] })
  }

  @Test(arguments: BackwardPrecision.allCases)
  func companyRecomputingAndThreadsChangeNoBit(backward: BackwardPrecision) throws {
    let file = try Tiny.nibbles.file()
    func policy(_ threads: Int) throws -> Policy {
      let model = try file.load(threads: threads)
      return try Policy(model, adapter: .random(model, rank: 3))
    }
    let one = try policy(1)
    let both = groups(one.model)
    let want = try run(one, both, dropout, backward)
    #expect(bits(try run(one, both.reversed(), dropout).logProbs.reversed()) == bits(want.logProbs))
    for (group, logProbs) in zip(both, want.logProbs) {
      #expect(bits(try run(one, [group], dropout).logProbs) == bits([logProbs]))
    }
    let plans: [(Int, TrainingPass.Kept)] = [
      (1, .nothing), (1, .init(attention: 0, feedForward: 1)), (2, Self.all), (3, .init(attention: 1, feedForward: 2)),
    ]
    for (threads, kept) in plans {
      let got = try run(policy(threads), both, dropout, kept: kept, backward)
      #expect(bits(got.logProbs) == bits(want.logProbs), "\(threads) threads, \(kept) blocks kept")
      #expect(gradientBits(got.gradients) == gradientBits(want.gradients), "\(threads) threads, \(kept) blocks kept")
    }
    #expect(bits(try run(one, both, Dropout(rate: 0.3, seed: 4, step: 3)).logProbs) != bits(want.logProbs))
  }

  @Test func withoutOneNothingIsDroppedAndNothingRemembered() throws {
    let model = try Tiny.nibbles.load()
    let policy = try Policy(model, adapter: .random(model, rank: 3))
    let both = groups(model)
    let plain = try run(policy, both, nil)
    #expect(bits(try run(policy, both, Dropout(rate: 0, seed: 4, step: 2)).logProbs) == bits(plain.logProbs))

    let pass = TrainingPass(policy, maximumRows: 200, kept: .init(attention: 0, feedForward: 1))
    #expect(bits(try pass.forward(both, dropout: dropout)) != bits(plain.logProbs))
    #expect(bits(try pass.forward(both)) == bits(plain.logProbs))
    pass.backward(weights: weights(both))
    #expect(gradientBits(pass.gradients) == gradientBits(plain.gradients))
  }

  // MARK: The twin

  /// The bounds are those of `TwinGradientTests`; the twin gets the same factors.
  @Test(arguments: [Tiny.float, .halves], [(BackwardPrecision.f32, 1e-4), (.int16, 1e-3)])
  func logProbsAndGradientsAreTheTwins(tiny: Tiny, backward: (precision: BackwardPrecision, bound: Double)) throws {
    let file = try tiny.file()
    let model = try file.load(.f32)
    let adapter = LoRAAdapter.random(model, rank: 3)
    let both = groups(model)
    let got = try run(Policy(model, adapter: adapter), both, dropout, backward.precision)

    let twin = try file.twin()
    var want = TwinAdapter(zerosLike: adapter.twin)
    for (g, group) in both.enumerated() {
      for (a, answer) in group.answers.enumerated() {
        var dropped = adapter.twin
        for module in adapter.modules {
          let factors = dropout.factors(of: group.prompt + answer, layer: module.name, columns: module.a.columns)
          dropped.modules[module.name]?.inputFactors = TwinTensor(
            rows: factors.rows, columns: factors.columns, floats: factors.values)
        }
        let tape = twin.forward((group.prompt + answer).map(Int.init), dropped)
        // Logits of some nats in float, as in `TwinLogProbTests`.
        expectClose(got.logProbs[g][a], Array(tape.logProbs.suffix(answer.count)), absolute: 1e-4)
        let prompt = [Double](repeating: 0, count: group.prompt.count - 1)
        let coefficients = prompt + weights(both)[g][a].map(Double.init)
        want.add(twin.backward(coefficients, at: tape, dropped).gradient)
      }
    }
    for (name, pair) in zip(got.gradients.names, got.gradients.pairs) {
      let module = try #require(want.modules[name])
      for (letter, g, w) in [("A", pair.a.values, module.a.values), ("B", pair.b.values, module.b.values)] {
        let off = zip(g, w).reduce(0) { $0 + pow(Double($1.0) - $1.1, 2) }
        let size = w.reduce(0) { $0 + $1 * $1 }
        #expect((off / size).squareRoot() < backward.bound, "\(letter) of \(name)")
      }
    }
  }
}
