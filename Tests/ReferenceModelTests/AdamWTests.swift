/// AdamW's first two steps by hand, and what holds for any first step.

import ReferenceModel
import Testing

@Suite struct AdamWTests {
  @Test func twoStepsByHand() {
    var adam = TwinAdamW(count: 1, eps: 0.01, weightDecay: 0.1)
    var p = [1.0]
    adam.update(&p, gradient: [0.5], learningRate: 0.1)
    // Decay 1 − 0.1 · 0.1; m̂ = 0.5, √v̂ = 0.5.
    let first = 0.99 - 0.1 * 0.5 / 0.51
    expectClose(p, [first], relative: 1e-14)
    adam.update(&p, gradient: [-1], learningRate: 0.2)
    // m = 0.9 · 0.05 − 0.1, corrected by 1 − 0.81; v = 0.999 · 0.00025 + 0.001, corrected by 1 − 0.998001.
    let second = first * 0.98 - 0.2 * (-0.055 / 0.19) / ((0.00124975 / 0.001999).squareRoot() + 0.01)
    // 1 − β₂² loses nine bits: 2⁻⁵³ / 0.002 is 6e-14.
    expectClose(p, [second], relative: 1e-12)
    expectClose(adam.mean + adam.square, [-0.055, 0.00124975], relative: 1e-13)
    #expect(adam.step == 2)
  }

  @Test func firstStepIsTheSignTimesTheRate() {
    var adam = TwinAdamW(count: 4)
    var p = [0.0, 0, 0, 0]
    adam.update(&p, gradient: [3, -0.01, 200, 0], learningRate: 1e-3)
    // eps = 1e-8 beside a gradient of 0.01 is a relative 1e-6.
    expectClose(p, [-1e-3, 1e-3, -1e-3, 0], relative: 1.01e-6, absolute: 1e-18)
  }

  @Test func decayWithoutGradientShrinks() {
    var adam = TwinAdamW(count: 2, weightDecay: 0.5)
    var p = [4.0, -2]
    adam.update(&p, gradient: [0, 0], learningRate: 0.5)
    #expect(p == [3, -1.5])
  }
}
