/// `mixture:W*SPEC;W*SPEC…`, a weighted mean of judges. A mean of tastes need not be transitive, even where each taste is.

import Tokenization

public struct MixtureOracle: PreferenceOracle {
  public let name: String
  public let parts: [(weight: Double, oracle: any PreferenceOracle)]

  /// - Throws: `OracleError.badSpec` unless the weights are positive; they are divided by their sum.
  public init(name: String, parts: [(weight: Double, oracle: any PreferenceOracle)]) throws(OracleError) {
    let sum = parts.reduce(0) { $0 + $1.weight }
    guard !parts.isEmpty, sum.isFinite, parts.allSatisfy({ $0.weight > 0 }) else {
      throw .badSpec(spec: name, reason: "every weight must be a number above 0")
    }
    self.name = name
    self.parts = parts.map { ($0.weight / sum, $0.oracle) }
  }

  public func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) async throws -> Double {
    try await probabilities([Question(prompt, a: a, b: b)])[0]
  }

  public func probabilities(_ questions: [Question]) async throws -> [Double] {
    // Around one half: both orders then add up to 1 but for rounding.
    var sums = [Double](repeating: 0, count: questions.count)
    for (weight, oracle) in parts {
      for (i, probability) in try await oracle.probabilities(questions).enumerated() {
        sums[i] += weight * (probability - 0.5)
      }
    }
    return sums.map { min(1, max(0, 0.5 + $0)) }
  }
}
