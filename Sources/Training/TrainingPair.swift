import Llama

/// One preference pair, ready to train on: token ids and the frozen log-probs of both answers.
public struct TrainingPair: Equatable, Sendable {
  /// The prompt, then the chosen and the rejected answer.
  public let group: ScoredGroup
  /// Sums over the answer's tokens under π_ref and π_t, in nats.
  public let referenceChosen: Double
  public let referenceRejected: Double
  public let lastChosen: Double
  public let lastRejected: Double
  /// P(chosen ≻ rejected), for soft labels.
  public let probability: Double?
  /// The record's own name, for messages and files about it.
  public var id: String?

  /// - Precondition: the group has two answers.
  public init(
    _ group: ScoredGroup, referenceChosen: Double, referenceRejected: Double, lastChosen: Double, lastRejected: Double,
    probability: Double? = nil
  ) {
    precondition(group.answers.count == 2, "a pair has two answers, not \(group.answers.count)")
    self.group = group
    self.referenceChosen = referenceChosen
    self.referenceRejected = referenceRejected
    self.lastChosen = lastChosen
    self.lastRejected = lastRejected
    self.probability = probability
  }

  /// Tokens of both sequences, the prompt counted with each answer as if it were not shared.
  public var tokens: Int { group.tokens }

  func margins(policyChosen: Double, policyRejected: Double) -> PairMargins {
    PairMargins(
      policy: policyChosen - policyRejected, reference: referenceChosen - referenceRejected,
      previous: lastChosen - lastRejected, probability: probability)
  }
}
