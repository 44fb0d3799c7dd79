import Foundation
import INPO
import Testing
import Training

private let matrix = [[0.5, 0.8, 0.3], [0.2, 0.5, 0.9], [0.7, 0.1, 0.5]]
private let reference = [0.5, 0.3, 0.2]

private func game(_ matrix: [[Double]] = matrix) throws -> TabularGame {
  try TabularGame(matrix: matrix, reference: reference, tau: 0.1)
}

@Test func nashPolicy() throws {
  let game = try game()
  let nash = try game.nash()
  #expect(agree(nash, ["0.530186423", "0.192368215", "0.277445362"]))
  #expect(agrees(game.dualGap(of: reference), "0.025693133"))
  // Gap 0 up to the rounding of a few terms near 1.
  #expect(abs(game.dualGap(of: nash)) < 1e-14)
}

@Test func firstRounds() throws {
  let game = try game()
  let run = try game.run(rounds: 2, eta: 0.5)
  #expect(run.policies.count == 3 && run.policies[0] == reference)
  #expect(agree(run.policies[1], ["0.549535090", "0.259367767", "0.191097142"]))
  #expect(agree(run.policies[2], ["0.582132595", "0.223150734", "0.194716671"]))
  #expect(agree(run.gaps, ["0.025693133", "0.016389445", "0.010918621"]))
  let nash = try game.nash()
  let distances = run.policies.map { TabularGame.kl(nash, $0) }
  #expect(agree(distances, ["0.036406667", "0.026952858", "0.020126742"]))
}

@Test func populationLosses() throws {
  let game = try game()
  let policies = try game.run(rounds: 2, eta: 0.5).policies
  let last = policies[1]
  let cases = [
    (reference, "0.071120723", "1.047949100"), (last, "0.015489851", "0.992318227"),
    (policies[2], "0.000000000", "0.976828377"), ([0.2, 0.2, 0.6], "1.424046045", "2.400874421"),
  ]
  let preference = game.preference(over: last)
  let mean = zip(last, preference).reduce(0) { $0 + $1.0 * $1.1 }
  let variance = zip(last, preference).reduce(0) { $0 + $1.0 * ($1.1 - mean) * ($1.1 - mean) }
  // 1/(4η²) − 2 Var(P(y ≻ π_t))/η².
  let constant = 1 / (4 * 0.25) - 2 * variance / 0.25
  #expect(agrees(constant, "0.976828377"))
  for (policy, squared, pairs) in cases {
    let eq7 = try game.squaredLoss(of: policy, last: last, eta: 0.5)
    let eq8 = try game.pairLoss(of: policy, last: last, eta: 0.5)
    #expect(agrees(eq7, squared))
    #expect(agrees(eq8, pairs))
    #expect(abs(eq8 - eq7 - constant) < 1e-13)
  }
}

@Test func manyRoundsOfTheRateOfLemma2() throws {
  let game = try game()
  let nash = try game.nash()
  let d = log(5.0)
  for (rounds, regret, regretBound, mixture, mixtureBound, last) in [
    (100, "0.26892", 6 * (100 * d).squareRoot(), "0.0052854", 12 * (d / 100).squareRoot(), "0.0019762"),
    (1000, "0.91346", 6 * (1000 * d).squareRoot(), "0.00040052", 12 * (d / 1000).squareRoot(), "8.408e-6"),
  ] {
    let run = try game.run(rounds: rounds, eta: (Double(rounds) / d).squareRoot())
    let played = run.policies.prefix(rounds)
    let lost = game.linearRegret(of: played, against: nash)
    #expect(agrees(lost, regret))
    #expect(lost < regretBound)
    let gap = game.dualGap(of: run.mixture)
    #expect(agrees(gap, mixture))
    #expect(gap < mixtureBound)
    #expect(agrees(game.dualGap(of: run.policies[rounds]), last))
  }
  #expect(agrees(6 * (100 * d).squareRoot(), "76.1"))
  #expect(agrees(12 * (d / 100).squareRoot(), "1.522"))
}

@Test func decreasingRateOfTheorem4() throws {
  let game = try game()
  let nash = try game.nash()
  let run = try game.run(rounds: 100, eta: game.decreasingRate)
  let distances = run.policies.map { TabularGame.kl(nash, $0) }
  #expect(agrees(distances[9], "0.00263931"))
  #expect(agrees(distances[99], "7.389e-7"))
  let bound = 32 / (0.01 * 101)
  #expect(agrees(bound, "31.7"))
  #expect(distances[99] <= bound)
  // Theorem 4's single step, C = 1.
  for t in 1...100 {
    let eta = game.decreasingRate(t)
    #expect(distances[t] <= (1 - game.tau / eta) * distances[t - 1] + 8 / (eta * eta))
  }
}

@Test func largeStepsDoNotConverge() throws {
  let game = try game()
  func gap(_ eta: Double) throws -> Double { try game.run(rounds: 200, eta: eta).gaps[200] }
  #expect(abs(try gap(0.5)) < 1e-14)
  #expect(abs(try gap(2)) < 2e-10)
  #expect(agrees(try gap(10), "4.6e-4"))
  #expect(agrees(try gap(0.1), "0.183"))
}

/// Gradient descent on the logits of Σ weight·loss, through the product's loss and its slope.
private func minimiser(
  of pairs: [(winner: Int, loser: Int, weight: Double)], last: [Double], eta: Double
) throws -> [Double] {
  let loss = try INPOLoss(eta: eta, tau: 0.1)
  var logits = last.map { log($0) }
  for _ in 0..<4000 {
    var slope = [0.0, 0, 0]
    for (winner, loser, weight) in pairs {
      func logps(_ y: Int) -> AnswerLogps {
        AnswerLogps(policy: logits[y], reference: log(reference[y]), previous: log(last[y]))
      }
      let outcome = loss(PairMargins(chosen: logps(winner), rejected: logps(loser)))
      slope[winner] += weight * outcome.dChosen
      slope[loser] += weight * outcome.dRejected
    }
    for y in 0..<3 { logits[y] -= 0.5 * slope[y] }
  }
  let total = logits.reduce(0) { $0 + exp($1) }
  return logits.map { exp($0) / total }
}

private func allPairs(_ matrix: [[Double]]) -> [(winner: Int, loser: Int, weight: Double)] {
  (0..<3).flatMap { y in
    (0..<3).map { other in (y, other, 2 * reference[y] * reference[other] * matrix[y][other]) }
  }
}

@Test func minimiserOfThePairLossIsTheNextPolicy() throws {
  let next = try game().step(from: reference, eta: 0.5)
  let found = try minimiser(of: allPairs(matrix), last: reference, eta: 0.5)
  #expect(zip(found, next).allSatisfy { abs($0 - $1) < 1e-12 })
}

@Test func thresholdedLabelsGiveAnotherPolicy() throws {
  let hard = matrix.map { $0.map { $0 > 0.5 ? 1 : $0 < 0.5 ? 0 : 0.5 } }
  let found = try minimiser(of: allPairs(hard), last: reference, eta: 0.5)
  #expect(agree(found, ["0.542222781", "0.218077680", "0.239699539"]))
  #expect(agree(try game(hard).step(from: reference, eta: 0.5), ["0.542222781", "0.218077680", "0.239699539"]))
}

@Test func gamesThatAreNone() throws {
  #expect(throws: GameError.notAProbability(row: 1, column: 0, value: 0.3, opposite: 0.8)) {
    try game([[0.5, 0.8, 0.3], [0.3, 0.5, 0.9], [0.7, 0.1, 0.5]])
  }
  #expect(throws: GameError.notSquare(rows: 2, columns: [2, 2], reference: 3)) { try game([[0.5, 0.5], [0.5, 0.5]]) }
  #expect(throws: GameError.self) { try TabularGame(matrix: matrix, reference: [0.5, 0.5, 0.2], tau: 0.1) }
  #expect(throws: GameError.self) { try TabularGame(matrix: matrix, reference: [0.5, 0.5, 0], tau: 0.1) }
  #expect(throws: GameError.badSettings(tau: 0, eta: 0)) {
    try TabularGame(matrix: matrix, reference: reference, tau: 0)
  }
  #expect(throws: GameError.badSettings(tau: 0.1, eta: 0.05)) { try game().run(rounds: 1, eta: 0.05) }
}
