import INPO
import Testing
import Training

/// log-probs of (y_w, y_l): π −40/−45, π_ref −42/−44, π_t −41/−44.5.
private let scalarCase = PairMargins(policy: 5, reference: 2, previous: 3.5)

/// Exact up to a few roundings of numbers near 100.
private let rounding = 1e-11

@Test func lossOfTheScalarCase() throws {
  let loss = try INPOLoss(eta: 0.005, ratio: 1.0 / 3)
  let outcome = loss(scalarCase)
  #expect(abs(outcome.h - 2) < rounding)
  #expect(abs(outcome.target! - 100) < rounding)
  #expect(abs(outcome.loss - 9604) < 100 * rounding)
  #expect(abs(outcome.dPolicy - -196) < rounding)
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
  #expect(abs(outcome.dPolicy - -1 / eta) < 1 / eta * 1e-13)
}

@Test func startOfALaterRound() throws {
  let loss = try INPOLoss(eta: 0.4, tau: 0.1)
  let outcome = loss(PairMargins(policy: 3.5, reference: 2, previous: 3.5))
  #expect(abs(outcome.h - 0.25 * 1.5) < rounding)
}

@Test(arguments: [nil, 0.8, 0.5])
func firstRoundIsIPO(probability: Double?) throws {
  let margins = PairMargins(policy: 5, reference: 2, previous: 2, probability: probability)
  let (inpo, ipo) = (try INPOLoss(eta: 0.1, tau: 0.03)(margins), try IPOLoss(beta: 0.1)(margins))
  #expect(abs(inpo.loss - ipo.loss) < rounding)
  #expect(abs(inpo.dPolicy - ipo.dPolicy) < rounding)
}

@Test func ratioZeroLeavesTheReferenceOut() throws {
  var other = scalarCase
  other.reference = 1000
  let loss = try INPOLoss.withoutKL(eta: 0.05)
  #expect(loss(scalarCase) == loss(other))
  #expect(loss(scalarCase).h == 1.5)
}

@Test func ratioOneLeavesTheLastPolicyOut() throws {
  var other = scalarCase
  other.previous = 1000
  let loss = try INPOLoss(eta: 0.05, tau: 0.05)
  #expect(loss(scalarCase) == loss(other))
  #expect(loss(scalarCase).h == 3)
}

@Test func exchangingTheAnswersNegatesH() throws {
  let loss = try INPOLoss(eta: 0.05, tau: 0.02)
  let swapped = PairMargins(policy: -5, reference: -2, previous: -3.5)
  #expect(loss(scalarCase).h == -loss(swapped).h)
}

@Test(arguments: [nil, 0.3])
func slopesAreDifferences(probability: Double?) throws {
  let losses: [any PairLoss] = [
    try INPOLoss(eta: 0.5, tau: 0.1), try IPOLoss(beta: 0.5), try DPOLoss(beta: 0.3),
  ]
  for loss in losses {
    var (up, down) = (scalarCase, scalarCase)
    (up.probability, down.probability) = (probability, probability)
    up.policy += 1e-5
    down.policy -= 1e-5
    var here = scalarCase
    here.probability = probability
    // Values near 10, differences over 2e-5: rounding leaves about 1e-10.
    #expect(abs(loss(here).dPolicy - (loss(up).loss - loss(down).loss) / 2e-5) < 1e-8)
  }
}

@Test func settingsOutsideTheTheoryAreRefused() {
  #expect(throws: LossError.tauOutside(tau: 0.2, eta: 0.1)) { try INPOLoss(eta: 0.1, tau: 0.2) }
  #expect(throws: LossError.tauOutside(tau: -0.1, eta: 0.1)) { try INPOLoss(eta: 0.1, tau: -0.1) }
  #expect(throws: LossError.notPositive("eta", -1)) { try INPOLoss(eta: -1, tau: 0.2) }
  #expect(throws: LossError.noRatio) { try INPOLoss(eta: 0.1, tau: 0) }
  #expect(throws: LossError.noRatio) { try INPOLoss(eta: 0.1, ratio: 0) }
  #expect(throws: LossError.notPositive("beta", 0)) { try DPOLoss(beta: 0) }
  #expect(throws: LossError.self) { try INPOLoss(eta: 0.1, tau: .nan) }
  #expect(throws: LossError.self) { try INPOLoss(eta: .infinity, tau: 0.1) }
}

@Test func neighboursOfTheScalarCase() throws {
  #expect(agrees(try DPOLoss(beta: 0.1)(scalarCase).loss, "0.554355"))
  var conservative = scalarCase
  conservative.probability = 0.9
  #expect(agrees(try DPOLoss(beta: 0.1)(conservative).loss, "0.584355"))
  #expect(abs(try IPOLoss(beta: 0.1)(scalarCase).loss - 4) < rounding)
}

@Test func preferenceLossSurvivesExtremeMargins() throws {
  let loss = try DPOLoss(beta: 1)
  let lost = loss(PairMargins(policy: -2000, reference: 0, previous: 0))
  #expect(lost.loss == 2000 && lost.dPolicy == -1)
  let won = loss(PairMargins(policy: 2000, reference: 0, previous: 0))
  #expect(won.loss == 0 && won.dPolicy == 0)
}
