/// The backward against five-point differences of the forward, for every A, every B and the embeddings.

import Foundation
import ReferenceModel
import Testing

@Suite struct BackwardTests {
  /// Distinct weights of both signs; the first two positions, the prompt, do not count.
  static let coefficients = [0, 0, 1.5, -0.5, 2, -1]

  static func objective(_ model: TwinModel, _ adapter: TwinAdapter) -> Double {
    zip(coefficients, model.forward(Tiny.tokens, adapter).logProbs).map(*).reduce(0, +)
  }

  @Test(arguments: TwinLinear.allCases) func everyAandB(target: TwinLinear) {
    // All seven carry a LoRA; the differences visit one target's matrices in both blocks.
    let tape = Tiny.model.forward(Tiny.tokens, Tiny.adapter)
    let gradient = Tiny.model.backward(Self.coefficients, at: tape, Tiny.adapter).gradient
    for block in 0..<Tiny.config.blockCount {
      let name = target.name(block)
      let got = TwinAdapter(gradient.modules.filter { $0.key == name }).parameters
      let visited = TwinAdapter(Tiny.adapter.modules.filter { $0.key == name })
      let want = differences(
        { parameters in
          var changed = Tiny.adapter
          changed.modules.merge(with(visited, parameters).modules) { $1 }
          return Self.objective(Tiny.model, changed)
        }, at: visited.parameters)
      #expect(want.contains { abs($0) > 1e-3 })
      // See `differences` for the absolute part.
      expectClose(got, want, relative: 1e-6, absolute: 1e-10)
    }
  }

  @Test func theEmbeddings() {
    // Distinct tokens, so that each row of the table is one position.
    let tokens = [3, 1, 4, 0, 5, 9, 2]
    let tape = Tiny.model.forward(tokens, Tiny.adapter)
    let got = Tiny.model.backward(Self.coefficients, at: tape, Tiny.adapter).tape.blocks[0].x
    let table = Tiny.model.weight(TwinName.tokenEmbd)
    for (t, token) in tokens.enumerated() {
      let want = differences(
        { row in
          var weights = Tiny.model.weights
          for i in row.indices { weights[TwinName.tokenEmbd]?[token, i] = row[i] }
          let logProbs = TwinModel(config: Tiny.config, weights: weights).forward(tokens, Tiny.adapter).logProbs
          return zip(Self.coefficients, logProbs).map(*).reduce(0, +)
        }, at: Array(table.row(token)))
      expectClose(Array(got.row(t)), want, relative: 1e-6, absolute: 1e-10)
    }
    // The last token is only a target: nothing follows it.
    #expect(got.row(6).allSatisfy { $0 == 0 })
  }

  @Test func tiedHeadAndPlainFrequencies() {
    var config = Tiny.config
    config.ropeFreqs = nil
    let model = TwinModel.random(config, seed: 11, tied: true)
    let adapter = TwinAdapter.random(config, rank: 1, scale: 2, seed: 12, targets: [.attnK, .ffnUp])
    let tape = model.forward(Tiny.tokens, adapter)
    let got = model.backward(Self.coefficients, at: tape, adapter).gradient.parameters
    let want = differences({ Self.objective(model, with(adapter, $0)) }, at: adapter.parameters)
    expectClose(got, want, relative: 1e-6, absolute: 1e-10)
  }

  /// What only some models have, each in a small model of its own.
  enum Variant: CaseIterable, Sendable {
    case biases, headNorms, scales, window, yarn, sizes

    var model: TwinModel {
      var config = Tiny.config
      config.turnsHalves = self == .biases || self == .headNorms
      switch self {
      case .biases: return .random(config, seed: 13, tied: true, biased: [.attnQ, .attnK, .attnV, .ffnDown])
      case .headNorms:
        config.stretch = .linear(factor: 3)
        return .random(config, seed: 14, normsHeads: true)
      case .scales:
        (config.attentionScale, config.embeddingScale, config.residualScale, config.logitScale) = (0.6, 3, 0.4, 0.8)
      case .window: config.window = 3
      case .yarn:
        config.stretch = .yarn(factor: 4, original: 16, fast: 2, slow: 1)
        (config.magnitude, config.temperature) = (1.3, TwinTemperature(slope: 0.5, length: 3))
      case .sizes: config.otherBlocks[1] = TwinBlockSizes(headCount: 3, kvHeadCount: 1, ffnDim: 9)
      }
      return .random(config, seed: 15)
    }
  }

  @Test(arguments: Variant.allCases) func whatOnlySomeModelsHave(variant: Variant) {
    let model = variant.model
    let adapter = TwinAdapter.random(model.config, rank: 1, scale: 2, seed: 12)
    let tape = model.forward(Tiny.tokens, adapter)
    let got = model.backward(Self.coefficients, at: tape, adapter).gradient.parameters
    let want = differences({ Self.objective(model, with(adapter, $0)) }, at: adapter.parameters)
    expectClose(got, want, relative: 1e-6, absolute: 1e-10)
  }

  @Test func gradientIsLinearInItsCoefficients() {
    let tape = Tiny.model.forward(Tiny.tokens, Tiny.adapter)
    func gradient(_ c: [Double]) -> TwinAdapter { Tiny.model.backward(c, at: tape, Tiny.adapter).gradient }
    var sum = gradient([1, 0, 2, 0, 0, 0])
    sum.add(gradient([0, 3, 0, 0, 0, -1]), scale: 0.5)
    // Sums of gradients below 10 in another order.
    expectClose(sum.parameters, gradient([1, 1.5, 2, 0, 0, -0.5]).parameters, absolute: 1e-13)
  }
}
