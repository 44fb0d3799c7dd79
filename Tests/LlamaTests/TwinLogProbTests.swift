/// The fast forward against the float64 twin, at every position of sequences longer than a page of the cache.

import Adapters
import Foundation
import Llama
import ReferenceModel
import Tensors
import TestSupport
import Testing

@Suite struct TwinLogProbTests {
  /// 4 standard deviations of the error of a log-probability, when the result of each stage carries an independent
  /// relative error: `perStage` in each of `stages`. The errors reach the logits relative to their size.
  private func bound(_ twin: TwinTape, perStage: Double, stages: Int) -> Double {
    let largest = twin.logits.values.reduce(0) { max($0, abs($1)) }
    return 4 * perStage * Double(stages).squareRoot() * largest
  }

  /// Float: 11 stages a block and 3 after them. A sum of K products rounds K times; a rounding is uniform within 2⁻²⁴,
  /// so its deviation is 2⁻²⁴/√3, of a partial sum whose mean square is half that of the whole.
  private func floatBound(_ twin: TwinTape, _ config: LlamaConfig) -> Double {
    let longest = Double(max(config.dim, config.feedForward))
    return bound(twin, perStage: (longest / 6).squareRoot() * 0x1p-24, stages: 11 * config.blockCount + 3)
  }

  /// The precisions with integers and the largest of these.
  private static let integers = [(Precision.int16, 32767.0), (.int8, 127)]

  /// Integers: the inputs of 4 products a block and of the head are rounded to steps of amax/largest. A rounding's
  /// deviation is a step/√12, and amax of a block about 3 times the values' own deviation.
  private func integerBound(_ twin: TwinTape, _ config: LlamaConfig, largest: Double) -> Double {
    bound(twin, perStage: 3 / largest / 12.0.squareRoot(), stages: 4 * config.blockCount + 1)
  }

  @Test(arguments: Tiny.allCases, [0, 1, 3, 8]) func floatAgrees(tiny: Tiny, rank: Int) throws {
    let file = try tiny.file()
    let model = try file.load(.f32)
    let adapter = rank == 0 ? nil : LoRAAdapter.random(model, rank: rank)
    let tokens = model.tokens(100)
    let want = try file.twin().forward(tokens.map(Int.init), adapter?.twin ?? TwinAdapter())
    let got = try Policy(model, adapter: adapter).logProbs(tokens)
    expectClose(got, want.logProbs, absolute: floatBound(want, model.config))
  }

  @Test(arguments: [Tiny.bytes, .nibbles, .kQuants, .qwen2], integers)
  func integersAgree(tiny: Tiny, integers: (precision: Precision, largest: Double)) throws {
    let file = try tiny.file()
    let model = try file.load(integers.precision)
    let adapter = LoRAAdapter.random(model, rank: 3)
    let tokens = model.tokens(100)
    let exact = try file.twin().forward(tokens.map(Int.init), adapter.twin)
    let got = try Policy(model, adapter: adapter).logProbs(tokens)
    expectClose(got, exact.logProbs, absolute: integerBound(exact, model.config, largest: integers.largest))
  }

  /// A vocabulary of two tiles and a bit. Logits that are off by ε move H = −Σ p log p by at most ε Σ p |log p + H|, and the
  /// n-th largest log-prob by at most 2 ε.
  @Test func entropyAndAlternativesAgree() throws {
    let file = try Tiny.float.file()
    let model = try file.load(.f32)
    let tokens = model.tokens(100)
    let want = try file.twin().forward(tokens.map(Int.init))
    let sequence = KVSequence(try Policy(model))
    let hidden = try ForwardPass(model)([Run(sequence, tokens.dropLast(), wanted: true)])
    let found = try Head(model).distributions(hidden, targets: Array(tokens.dropFirst()), top: 4)
    let bound = floatBound(want, model.config)
    let vocabulary = model.vocabularySize
    for (row, one) in found.enumerated() {
      let logits = want.logits.values[(row * vocabulary)..<((row + 1) * vocabulary)]
      let largest = logits.max() ?? 0
      let logSum = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
      let logps = logits.map { $0 - logSum }
      let entropy = -logps.reduce(0) { $0 + exp($1) * $1 }
      let sensitivity = logps.reduce(0) { $0 + exp($1) * abs($1 + entropy) }
      // And the rounding of the sum itself: exponentials in float, of differences in float.
      expectClose(one.entropy, entropy, absolute: bound * sensitivity + 0x1p-20, "row \(row)")
      let best = logps.sorted(by: >).prefix(4)
      expectClose(one.top.map { Double($0.logp) }, Array(best), absolute: 2 * bound, "row \(row)")
      for alternative in one.top {
        expectClose(Double(alternative.logp), logps[Int(alternative.token)], absolute: 2 * bound, "row \(row)")
      }
    }
  }

  /// It is the rounding of inputs that makes the difference: the twin that rounds the same inputs is closer. Not equal,
  /// since an input within float error of a tie may fall the other way; one block, so that few do. Another rounding of
  /// the same size would be √2 times as far from this one as from the exact values.
  @Test(arguments: [Tiny.bytes, .nibbles, .kQuants], integers)
  func integersAreRoundedAsTheTwinRounds(tiny: Tiny, integers: (precision: Precision, largest: Double)) throws {
    var shallow = tiny.model
    shallow.layers = 1
    let file = try shallow.file()
    let model = try file.load(integers.precision)
    let tokens = model.tokens(100)
    let got = try Policy(model).logProbs(tokens)
    func meanDistance(_ twin: TwinModel) -> Double {
      let want = twin.forward(tokens.map(Int.init)).logProbs
      return zip(got, want).reduce(0) { $0 + abs(Double($1.0) - $1.1) } / Double(got.count)
    }
    let exact = try file.twin()
    var rounding = exact
    rounding.roundedInputs = file.quantizedNames
    rounding.largestInteger = integers.largest
    #expect(meanDistance(rounding) < meanDistance(exact))
  }

  @Test(arguments: [Tiny.float, .halves]) func floatWeightsAreNeverRounded(tiny: Tiny) throws {
    let file = try tiny.file()
    let tokens = try file.load().tokens(70)
    let float = try Policy(file.load(.f32)).logProbs(tokens)
    for (precision, _) in Self.integers {
      #expect(bits(try Policy(file.load(precision)).logProbs(tokens)) == bits(float), "\(precision)")
    }
  }
}
