/// The INPO loss by hand, and its gradient through the model against differences.

import ReferenceModel
import Testing

@Suite struct LossTests {
  static let pairs = [
    TwinPair(prompt: [3, 1], chosen: [4, 1, 5], rejected: [9, 2], reference: 0.8, previous: -0.3),
    TwinPair(prompt: [7], chosen: [6, 2], rejected: [5, 3, 5, 8], reference: -1.1, previous: 0.4),
  ]

  @Test func oneCaseByHand() {
    // π −40/−45, π_ref −42/−44, π_t −41/−44.5, η = 0.005, ρ = 1/3: h = 5 − 2/3 − 7/3 = 2, target 100.
    let (loss, dPolicy) = TwinINPO(eta: 0.005, ratio: 1.0 / 3)(policy: 5, reference: 2, previous: 3.5)
    expectClose([loss, dPolicy], [9604, -196], relative: 1e-14)
  }

  @Test func theFirstStepOfTheFirstRound() {
    // π = π_t = π_ref: the loss is 1/(4η²), whatever the pairs.
    let inpo = TwinINPO(eta: 0.05, ratio: 0.25)
    let pairs = Self.pairs.map { pair in
      let ratio = Tiny.model.logRatio(pair, Tiny.adapter)
      return TwinPair(
        prompt: pair.prompt, chosen: pair.chosen, rejected: pair.rejected, reference: ratio, previous: ratio)
    }
    expectClose([Tiny.model.lossGradients(pairs, inpo, Tiny.adapter).loss], [100], relative: 1e-14)
  }

  @Test func logProbOfAnAnswerIsTheSumOverItsTokens() {
    let logProbs = Tiny.model.forward([3, 1, 4, 1, 5], Tiny.adapter).logProbs
    let sum = logProbs[1] + logProbs[2] + logProbs[3]
    expectClose([Tiny.model.logProb(of: [4, 1, 5], after: [3, 1], Tiny.adapter)], [sum], relative: 1e-15)
  }

  @Test func gradientIsTheDerivativeOfTheMeanLoss() {
    let inpo = TwinINPO(eta: 0.1, ratio: 1.0 / 3)
    func loss(_ adapter: TwinAdapter) -> Double {
      let losses = Self.pairs.map {
        inpo(policy: Tiny.model.logRatio($0, adapter), reference: $0.reference, previous: $0.previous).loss
      }
      return losses.reduce(0, +) / 2
    }
    let (mean, gradient) = Tiny.model.lossGradients(Self.pairs, inpo, Tiny.adapter)
    expectClose([mean], [loss(Tiny.adapter)], relative: 1e-14)
    let want = differences({ loss(with(Tiny.adapter, $0)) }, at: Tiny.adapter.parameters)
    // See `differences`; the loss is about 25, its fifth derivative some hundred times that of a log-prob.
    expectClose(gradient.parameters, want, relative: 1e-6, absolute: 1e-9)
  }
}
