import INPO
import Testing
import Training

/// log-probs of (y_w, y_l): π −40/−45, π_ref −42/−44, π_t −41/−44.5.
private let scalarCase = PairMargins(
  chosen: AnswerLogps(policy: -40, reference: -42, previous: -41, tokens: 20),
  rejected: AnswerLogps(policy: -45, reference: -44, previous: -44.5, tokens: 30))

extension PairMargins {
  /// For losses that see margins only.
  fileprivate init(policy: Double, reference: Double, previous: Double, probability: Double? = nil) {
    self.init(
      chosen: AnswerLogps(policy: policy, reference: reference, previous: previous),
      rejected: AnswerLogps(policy: 0, reference: 0, previous: 0), probability: probability)
  }
}

/// Exact up to a few roundings of numbers near 100.
private let rounding = 1e-11

@Test func lossOfTheScalarCase() throws {
  let loss = try INPOLoss(eta: 0.005, ratio: 1.0 / 3)
  let outcome = loss(scalarCase)
  #expect(abs(outcome.h! - 2) < rounding)
  #expect(abs(outcome.target! - 100) < rounding)
  #expect(abs(outcome.loss - 9604) < 100 * rounding)
  #expect(abs(outcome.dChosen - -196) < rounding)
  #expect(abs(outcome.dRejected - 196) < rounding)
}

@Test func softLabelOfTheScalarCase() throws {
  var margins = scalarCase
  margins.probability = 0.8
  let outcome = try INPOLoss(eta: 0.005, ratio: 1.0 / 3)(margins)
  #expect(abs(outcome.target! - 60) < rounding)
  #expect(abs(outcome.loss - 3364) < 100 * rounding)
  margins.probability = 1
  #expect(try INPOLoss(eta: 0.005, ratio: 1.0 / 3)(margins) == INPOLoss(eta: 0.005, ratio: 1.0 / 3)(scalarCase))
}

@Test func softLabelIsTheMeanOverVerdictsButForAConstant() throws {
  let loss = try INPOLoss(eta: 0.5, tau: 0.1)
  func difference(_ policy: Double) -> Double {
    let won = PairMargins(policy: policy, reference: 0.3, previous: -0.2)
    let lost = PairMargins(policy: -policy, reference: -0.3, previous: 0.2)
    var soft = won
    soft.probability = 0.7
    return 0.7 * loss(won).loss + 0.3 * loss(lost).loss - loss(soft).loss
  }
  // The constant is P(1 − P)/η².
  for policy in [-3, 0, 0.4, 11] { #expect(abs(difference(policy) - 0.21 / 0.25) < rounding) }
}

@Test(arguments: [0.1, 0.005, 2.0])
func firstStepOfARun(eta: Double) throws {
  let loss = try INPOLoss(eta: eta, ratio: 1.0 / 3)
  // The first round starts with all three policies equal.
  let outcome = loss(PairMargins(policy: -1.7, reference: -1.7, previous: -1.7))
  let want = 1 / (4 * eta * eta)
  #expect(abs(outcome.loss - want) < want * 1e-13)
  #expect(abs(outcome.dChosen - -1 / eta) < 1 / eta * 1e-13)
}

@Test func startOfALaterRound() throws {
  let loss = try INPOLoss(eta: 0.4, tau: 0.1)
  let outcome = loss(PairMargins(policy: 3.5, reference: 2, previous: 3.5))
  #expect(abs(outcome.h! - 0.25 * 1.5) < rounding)
}

@Test(arguments: [nil, 0.8, 0.5])
func firstRoundIsIPO(probability: Double?) throws {
  let margins = PairMargins(policy: 5, reference: 2, previous: 2, probability: probability)
  let (inpo, ipo) = (try INPOLoss(eta: 0.1, tau: 0.03)(margins), try IPOLoss(beta: 0.1)(margins))
  #expect(abs(inpo.loss - ipo.loss) < rounding)
  #expect(abs(inpo.dChosen - ipo.dChosen) < rounding)
}

@Test func ratioZeroLeavesTheReferenceOut() throws {
  var other = scalarCase
  other.chosen.reference = 1000
  let loss = try INPOLoss.withoutKL(eta: 0.05)
  #expect(loss(scalarCase) == loss(other))
  #expect(loss(scalarCase).h == 1.5)
}

@Test func ratioOneLeavesTheLastPolicyOut() throws {
  var other = scalarCase
  other.chosen.previous = 1000
  let loss = try INPOLoss(eta: 0.05, tau: 0.05)
  #expect(loss(scalarCase) == loss(other))
  #expect(loss(scalarCase).h == 3)
}

@Test func exchangingTheAnswersNegatesH() throws {
  let loss = try INPOLoss(eta: 0.05, tau: 0.02)
  let swapped = PairMargins(policy: -5, reference: -2, previous: -3.5)
  #expect(loss.h(scalarCase) == -loss.h(swapped))
}

@Test func settingsOutsideTheTheoryAreRefused() {
  #expect(throws: LossError.tauOutside(tau: 0.2, eta: 0.1)) { try INPOLoss(eta: 0.1, tau: 0.2) }
  #expect(throws: LossError.tauOutside(tau: -0.1, eta: 0.1)) { try INPOLoss(eta: 0.1, tau: -0.1) }
  #expect(throws: LossError.notPositive("eta", -1)) { try INPOLoss(eta: -1, tau: 0.2) }
  #expect(throws: LossError.noRatio) { try INPOLoss(eta: 0.1, tau: 0) }
  #expect(throws: LossError.noRatio) { try INPOLoss(eta: 0.1, ratio: 0) }
  #expect(throws: LossError.self) { try INPOLoss(eta: 0.1, tau: .nan) }
  #expect(throws: LossError.self) { try INPOLoss(eta: .infinity, tau: 0.1) }
}
