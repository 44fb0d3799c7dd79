/// Judges that may favour the first answer they read are asked in both orders.

import Tokenization

/// The mean of P(a ≻ b) and 1 − P(b ≻ a) of another judge.
public struct SwappedOracle: BatchOracle {
  public let name: String
  private let oracle: any PreferenceOracle

  public init(_ oracle: any PreferenceOracle) {
    name = oracle.name
    self.oracle = oracle
  }

  public func probabilities(_ questions: [Question]) async throws -> [Double] {
    let answers = try await oracle.probabilities(questions + questions.map(\.swapped))
    return questions.indices.map { (answers[$0] + (1 - answers[questions.count + $0])) / 2 }
  }
}
