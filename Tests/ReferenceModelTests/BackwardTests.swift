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

  @Test func gradientIsLinearInItsCoefficients() {
    let tape = Tiny.model.forward(Tiny.tokens, Tiny.adapter)
    func gradient(_ c: [Double]) -> TwinAdapter { Tiny.model.backward(c, at: tape, Tiny.adapter).gradient }
    var sum = gradient([1, 0, 2, 0, 0, 0])
    sum.add(gradient([0, 3, 0, 0, 0, -1]), scale: 0.5)
    // Sums of gradients below 10 in another order.
    expectClose(sum.parameters, gradient([1, 1.5, 2, 0, 0, -0.5]).parameters, absolute: 1e-13)
  }
}
