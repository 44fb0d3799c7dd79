/// The game INPO plays, on a handful of answers where everything can be computed: policies are rows of numbers.
/// Equations as numbered in arXiv 2407.00617. Answers are indices, the prompt is dropped.

import Foundation

public enum GameError: Error, Equatable, CustomStringConvertible {
  case notSquare(rows: Int, columns: [Int], reference: Int)
  case notAProbability(row: Int, column: Int, value: Double, opposite: Double)
  case notADistribution(sum: Double)
  case badSettings(tau: Double, eta: Double)
  case notConverged(steps: Int)

  public var description: String {
    switch self {
    case .notSquare(let rows, let columns, let reference):
      "The game needs a square matrix and a reference of its size, got \(rows) rows of \(columns) values and "
        + "a reference of \(reference)."
    case .notAProbability(let row, let column, let value, let opposite):
      "Entries [\(row), \(column)] and [\(column), \(row)] of the matrix are \(value) and \(opposite): both must lie "
        + "between 0 and 1 and add up to 1."
    case .notADistribution(let sum):
      "The reference must be positive everywhere and add up to 1, its sum is \(sum)."
    case .badSettings(let tau, let eta): "The game needs 0 < tau ≤ eta, got tau \(tau) and eta \(eta)."
    case .notConverged(let steps): "The Nash policy was not found in \(steps) steps. Choose a larger tau."
    }
  }
}

public struct TabularGame: Equatable, Sendable {
  /// `matrix[y][z]` is P(y ≻ z).
  public let matrix: [[Double]]
  /// π_ref, positive everywhere.
  public let reference: [Double]
  public let tau: Double

  public init(matrix: [[Double]], reference: [Double], tau: Double) throws(GameError) {
    let count = reference.count
    guard count > 0, matrix.count == count, matrix.allSatisfy({ $0.count == count }) else {
      throw .notSquare(rows: matrix.count, columns: matrix.map(\.count), reference: count)
    }
    for row in 0..<count {
      for column in 0...row {
        let (value, opposite) = (matrix[row][column], matrix[column][row])
        guard (0...1).contains(value), (0...1).contains(opposite), abs(value + opposite - 1) < 1e-9 else {
          throw .notAProbability(row: row, column: column, value: value, opposite: opposite)
        }
      }
    }
    let sum = reference.reduce(0, +)
    guard reference.allSatisfy({ $0 > 0 }), abs(sum - 1) < 1e-9 else { throw .notADistribution(sum: sum) }
    guard tau.isFinite, tau > 0 else { throw .badSettings(tau: tau, eta: tau) }
    self.matrix = matrix
    self.reference = reference
    self.tau = tau
  }

  /// P(y ≻ π) for every answer y.
  public func preference(over policy: [Double]) -> [Double] {
    matrix.map { row in zip(row, policy).reduce(0) { $0 + $1.0 * $1.1 } }
  }

  /// One step of mirror descent, Eq. 5: π_{t+1} ∝ exp(P(y ≻ π_t)/η) · π_ref^{τ/η} · π_t^{1−τ/η}.
  public func step(from policy: [Double], eta: Double) -> [Double] {
    let preference = preference(over: policy)
    return Self.normalised(
      policy.indices.map { y in
        preference[y] / eta + tau / eta * log(reference[y]) + (1 - tau / eta) * log(policy[y])
      })
  }

  /// max over π1 of J(π1, π) minus min over π2 of J(π, π2): at least 0, and 0 only for the Nash policy.
  ///
  /// The best answer has the closed form τ·logsumexp(log π_ref + P(y ≻ π)/τ) + τ·KL(π‖π_ref), and the game is symmetric.
  public func dualGap(of policy: [Double]) -> Double {
    let preference = preference(over: policy)
    let best = Self.logSumExp(reference.indices.map { log(reference[$0]) + preference[$0] / tau })
    return 2 * (tau * best + tau * Self.kl(policy, reference)) - 1
  }

  /// The Nash policy: the fixed point π* ∝ π_ref · exp(P(y ≻ π*)/τ), reached by damped steps in log space.
  ///
  /// - Throws: `GameError.notConverged` when the steps, of rate `1/eta` each, have not settled.
  public func nash(eta: Double = 1, steps: Int = 100_000) throws(GameError) -> [Double] {
    try check(eta)
    var policy = reference
    for _ in 0..<steps {
      let next = step(from: policy, eta: eta)
      let moved = zip(policy, next).map { abs($0 - $1) }.max() ?? 0
      policy = next
      if moved < 1e-16 { return policy }
    }
    guard dualGap(of: policy) < 1e-9 else { throw .notConverged(steps: steps) }
    return policy
  }

  public struct Run: Equatable, Sendable {
    /// π_1 (the reference) to π_{T+1}.
    public var policies: [[Double]]
    public var gaps: [Double]
    /// The uniform mixture of π_1 … π_T, the policy of Theorem 3.
    public var mixture: [Double]
  }

  /// `rounds` steps from π_ref, each with the η that `eta` gives for its number t, from 1.
  public func run(rounds: Int, eta: (Int) -> Double) throws(GameError) -> Run {
    var policies = [reference]
    for t in stride(from: 1, through: rounds, by: 1) {
      let eta = eta(t)
      try check(eta)
      policies.append(step(from: policies[t - 1], eta: eta))
    }
    let played = rounds > 0 ? policies.dropLast() : policies[...]
    let mixture = reference.indices.map { y in played.reduce(0) { $0 + $1[y] } / Double(played.count) }
    return Run(policies: policies, gaps: policies.map(dualGap), mixture: mixture)
  }

  public func run(rounds: Int, eta: Double) throws(GameError) -> Run { try run(rounds: rounds) { _ in eta } }

  /// η_t = τ(t+2)/2, for which Theorem 4 bounds the last policy's distance from π* by 32C²/(τ²(T+1)).
  public func decreasingRate(_ t: Int) -> Double { tau * Double(t + 2) / 2 }

  /// Σ_t ⟨∇ℓ_t(π_t), π_t − π*⟩ over the policies played: the regret of Lemma 2 against `best`.
  public func linearRegret(of policies: some Sequence<[Double]>, against best: [Double]) -> Double {
    policies.reduce(0) { sum, policy in
      let preference = preference(over: policy)
      return sum
        + policy.indices.reduce(0) { part, y in
          let gradient = -preference[y] + tau * (log(policy[y] / reference[y]) + 1)
          return part + gradient * (policy[y] - best[y])
        }
    }
  }

  private func check(_ eta: Double) throws(GameError) {
    guard eta.isFinite, tau <= eta else { throw .badSettings(tau: tau, eta: eta) }
  }

  /// KL(p‖q) in nats.
  public static func kl(_ p: [Double], _ q: [Double]) -> Double {
    zip(p, q).reduce(0) { $0 + ($1.0 > 0 ? $1.0 * log($1.0 / $1.1) : 0) }
  }

  private static func logSumExp(_ values: [Double]) -> Double {
    let most = values.max() ?? 0
    return most + log(values.reduce(0) { $0 + exp($1 - most) })
  }

  private static func normalised(_ logits: [Double]) -> [Double] {
    let total = logSumExp(logits)
    return logits.map { exp($0 - total) }
  }
}
