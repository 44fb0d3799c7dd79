/// The other losses on one case worked out by hand, and every loss's slopes against differences.

import INPO
import TestSupport
import Testing
import Training

@Suite struct NeighbourLossTests {
  /// log-probs of (y_w, y_l): π −40/−45, π_ref −42/−44; 20 and 30 tokens. π_t is π_ref here, as in a first round.
  private func scalarCase(probability: Double? = nil) -> PairMargins {
    PairMargins(
      chosen: AnswerLogps(policy: -40, reference: -42, previous: -42, tokens: 20),
      rejected: AnswerLogps(policy: -45, reference: -44, previous: -44, tokens: 30), probability: probability)
  }

  @Test func dpoAndItsReadingsOfWrongVerdicts() throws {
    #expect(agrees(try DPOLoss(beta: 0.1)(scalarCase()).loss, "0.554355"))
    #expect(agrees(try DPOLoss(beta: 0.1, labelSmoothing: 0.1)(scalarCase()).loss, "0.584355"))
    #expect(agrees(try DPOLoss(beta: 0.1, labelSmoothing: 0.1, isRobust: true)(scalarCase()).loss, "0.516855"))
    #expect(agrees(try DPOLoss(beta: 0.1)(scalarCase(probability: 0.9)).loss, "0.584355"), "ε is 1 − P")
  }

  /// Verdicts wrong with probability ε have the right verdict's loss as their mean.
  @Test func robustDPOUndoesWrongVerdicts() throws {
    let robust = try DPOLoss(beta: 0.1, labelSmoothing: 0.2, isRobust: true)
    let mean = 0.8 * robust(scalarCase(probability: 1)).loss + 0.2 * robust(scalarCase(probability: 0)).loss
    expectClose(mean, try DPOLoss(beta: 0.1)(scalarCase()).loss, relative: 1e-14)  // a few roundings
  }

  @Test func ipoOfSumsAndOfMeans() throws {
    let sums = try IPOLoss(beta: 0.1)(scalarCase())
    #expect(sums.loss == 4 && sums.h == 3 && sums.target == 5)
    // Log-ratios 2/20 and −1/30 a token: h = 2/15, target 5.
    let means = try IPOLoss(beta: 0.1, perToken: true)(scalarCase())
    let residual = 2.0 / 15 - 5
    expectClose(
      [means.loss, means.dChosen, means.dRejected], [residual * residual, residual / 10, -residual / 15],
      relative: 1e-14)
  }

  @Test func hinge() throws {
    expectClose(try HingeLoss(beta: 0.1)(scalarCase()).loss, 0.7, relative: 1e-14)
    let far = try HingeLoss(beta: 1)(scalarCase())
    #expect(far.loss == 0 && far.dChosen == 0)
  }

  @Test func simpo() throws {
    #expect(agrees(try SimPOLoss(beta: 2, gamma: 1)(scalarCase()).loss, "2.126928"))
    var without = scalarCase()
    (without.chosen.reference, without.rejected.reference) = (.nan, .nan)
    #expect(try SimPOLoss(beta: 2, gamma: 1)(without) == SimPOLoss(beta: 2, gamma: 1)(scalarCase()))
  }

  @Test func sppo() throws {
    let loss = try SPPOLoss(beta: 0.001)
    var soft = scalarCase()
    (soft.chosen.winRate, soft.rejected.winRate) = (0.9, 0.2)
    // Numbers near 500 are squared: a few units of 2⁻⁵³ of that.
    expectClose(loss(soft).loss, 123902.5, relative: 1e-13)
    expectClose([loss(soft).dChosen, loss(soft).dRejected], [-398.0, 299.0], relative: 1e-13)
    expectClose(loss(scalarCase()).loss, 497005, relative: 1e-13)
    // One probability stands for both win rates.
    (soft.chosen.winRate, soft.rejected.winRate) = (0.8, nil)
    var both = soft
    (both.rejected.winRate, soft.chosen.winRate, soft.probability) = (1 - 0.8, nil, 0.8)
    #expect(loss(soft) == loss(both))
    var other = scalarCase()
    other.chosen.reference = 1000
    #expect(loss(other) == loss(scalarCase()), "it looks at π_t, not at π_ref")
  }

  @Test func sftIsCrossEntropyATokenOfTheAnswer() {
    let outcome = SFTLoss()(PairMargins(chosen: scalarCase().chosen, rejected: .none))
    #expect(outcome == PairOutcome(loss: 2, dChosen: -0.05, dRejected: 0))
  }

  private static func losses() throws -> [any PairLoss] {
    [
      try INPOLoss(eta: 0.5, tau: 0.1), try IPOLoss(beta: 0.5), try IPOLoss(beta: 0.5, perToken: true),
      try DPOLoss(beta: 0.3), try DPOLoss(beta: 0.3, labelSmoothing: 0.1),
      try DPOLoss(beta: 0.3, labelSmoothing: 0.1, isRobust: true), try HingeLoss(beta: 0.3), try SPPOLoss(beta: 0.5),
      try SimPOLoss(beta: 2, gamma: 1), SFTLoss(),
    ]
  }

  @Test(arguments: [nil, 0.3, 0.8], [UInt64(1), 2, 3])
  func slopesAreDifferences(probability: Double?, seed: UInt64) throws {
    let sums = Seeded(seed).normals(6, deviation: 2).map(Double.init)
    let lengths = Seeded(seed, "tokens").integers(2, below: 9).map { $0 + 1 }
    let here = PairMargins(
      chosen: AnswerLogps(policy: sums[0], reference: sums[1], previous: sums[2], tokens: lengths[0]),
      rejected: AnswerLogps(policy: sums[3], reference: sums[4], previous: sums[5], tokens: lengths[1]),
      probability: probability)
    for loss in try Self.losses() {
      func slope(_ path: WritableKeyPath<PairMargins, Double>) -> Double {
        var (up, down) = (here, here)
        up[keyPath: path] += 1e-5
        down[keyPath: path] -= 1e-5
        return (loss(up).loss - loss(down).loss) / 2e-5
      }
      // Values up to 100, differences over 2e-5: rounding leaves about 1e-9.
      let outcome = loss(here)
      expectClose(outcome.dChosen, slope(\.chosen.policy), absolute: 1e-8, "\(loss)")
      expectClose(outcome.dRejected, slope(\.rejected.policy), absolute: 1e-8, "\(loss)")
    }
  }

  @Test func extremeMarginsStayFinite() throws {
    func margins(_ policy: Double) -> PairMargins {
      PairMargins(chosen: AnswerLogps(policy: policy, reference: 0), rejected: AnswerLogps(policy: 0, reference: 0))
    }
    let loss = try DPOLoss(beta: 1)
    let lost = loss(margins(-2000))
    #expect(lost.loss == 2000 && lost.dChosen == -1)
    let won = loss(margins(2000))
    #expect(won.loss == 0 && won.dChosen == 0)
  }

  @Test func settingsWithoutMeaningAreRefused() {
    #expect(throws: LossError.notPositive("beta", 0)) { try DPOLoss(beta: 0) }
    #expect(throws: LossError.notPositive("beta", -1)) { try SPPOLoss(beta: -1) }
    #expect(throws: LossError.badSmoothing(0.5)) { try DPOLoss(beta: 1, labelSmoothing: 0.5) }
    #expect(throws: LossError.noSmoothing) { try DPOLoss(beta: 1, isRobust: true) }
    #expect(throws: LossError.notGamma(-1)) { try SimPOLoss(beta: 1, gamma: -1) }
  }
}
