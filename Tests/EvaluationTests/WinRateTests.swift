import Evaluation
import Foundation
import Testing

@Test func wilsonByItsDefinition() {
  // The interval holds exactly the shares p whose z-test against the observed share does not reject:
  // its ends solve (p̂ − p)² = z² p (1 − p) / n.
  let z = 1.959963984540054
  for (successes, trials) in [(0.0, 10), (1, 10), (5, 10), (62.5, 96), (96, 96), (1, 1)] {
    let n = Double(trials)
    let share = successes / n
    let interval = Interval.wilson(successes: successes, trials: trials)
    for end in [interval.low, interval.high] {
      #expect(abs((share - end) * (share - end) - z * z * end * (1 - end) / n) < 1e-14)
    }
    #expect(interval.low <= share && share <= interval.high)
  }
}

@Test func wilsonOfTenAndOfNone() {
  // 5 of 10: centre ½, reach z/(2√(n + z²)).
  let z = 1.959963984540054
  let interval = Interval.wilson(successes: 5, trials: 10)
  let reach = z / (2 * (10 + z * z).squareRoot())
  #expect(abs(interval.low - (0.5 - reach)) < 1e-15)
  #expect(abs(interval.high - (0.5 + reach)) < 1e-15)
  #expect(Interval.wilson(successes: 0, trials: 0) == Interval(low: 0, high: 1))
  // None of 10: z²/(n + z²) = 0.2775.
  let none = Interval.wilson(successes: 0, trials: 10)
  #expect(none.low == 0 && abs(none.high - z * z / (10 + z * z)) < 1e-15)
}

@Test func tiesCountHalf() {
  let rate = WinRate([0.9, 0.5, 0.5, 0.1, 0.51, 1])
  #expect((rate.wins, rate.ties, rate.losses) == (3, 2, 1))
  #expect(rate.rate == 4.0 / 6)
  #expect(abs(rate.meanProbability - 3.51 / 6) < 1e-15)
  #expect(rate.interval == .wilson(successes: 4, trials: 6))
  #expect(WinRate().rate == 0.5)
}

@Test func klIsAMeanWithItsError() {
  let kl = SampleMean.kl(policyLogps: [-10, -20, -30, -40], referenceLogps: [-11, -23, -29, -45])
  // Differences 1, 3, −1, 5: mean 2, sum of squares around it 20, variance 20/3, error √(20/3/4).
  #expect(kl.mean == 2 && kl.count == 4)
  #expect(abs(kl.standardError - (20.0 / 12).squareRoot()) < 1e-15)
  #expect(SampleMean([7]) == SampleMean.kl(policyLogps: [-1], referenceLogps: [-8]))
  #expect(SampleMean([7]).standardError == 0)
  #expect(SampleMean([]).mean == 0)
}

/// A generator of a fixed, simple kind.
private struct Weyl: RandomNumberGenerator {
  var state: UInt64 = 1
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 33)
  }
}

@Test func bootstrapAgreesWithTheNormalIntervalOfManyDifferences() {
  var random = Weyl()
  let differences = (0..<400).map { Double($0 % 20) - 9.5 }
  let interval = PairedBootstrap.interval(of: differences, using: &random)
  // Variance of the uniform steps is (400 − 1)/12; the mean of 400 is close to normal.
  let reach = 1.96 * (399.0 / 12 / 400).squareRoot()
  // The 2.5 % quantile of 10,000 resamples has a standard error of √(0.025·0.975/10⁴)/φ(1.96) = 0.027 standard
  // deviations, here 0.008; four of them.
  #expect(abs(interval.low + reach) < 0.032)
  #expect(abs(interval.high - reach) < 0.032)
  var again = Weyl()
  #expect(PairedBootstrap.interval(of: differences, using: &again) == interval)
  #expect(PairedBootstrap.interval(of: [2, 2, 2], using: &random) == Interval(low: 2, high: 2))
}
