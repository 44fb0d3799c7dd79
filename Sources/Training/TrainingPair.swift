import Llama

/// One preference pair, ready to train on: token ids and the frozen log-probs of both answers.
public struct TrainingPair: Equatable, Sendable {
  public let chosen: ScoredSequence
  public let rejected: ScoredSequence
  /// Sums over the answer's tokens under π_ref and π_t, in nats.
  public let referenceChosen: Double
  public let referenceRejected: Double
  public let lastChosen: Double
  public let lastRejected: Double
  /// P(chosen ≻ rejected), for soft labels.
  public let probability: Double?
  /// The record's own name, for messages and files about it.
  public var id: String?

  public init(
    chosen: ScoredSequence, rejected: ScoredSequence, referenceChosen: Double, referenceRejected: Double,
    lastChosen: Double, lastRejected: Double, probability: Double? = nil
  ) {
    self.chosen = chosen
    self.rejected = rejected
    self.referenceChosen = referenceChosen
    self.referenceRejected = referenceRejected
    self.lastChosen = lastChosen
    self.lastRejected = lastRejected
    self.probability = probability
  }

  /// Tokens of both sequences, prompts counted with each answer.
  public var tokens: Int { chosen.tokens.count + rejected.tokens.count }

  func margins(policyChosen: Double, policyRejected: Double) -> PairMargins {
    PairMargins(
      policy: policyChosen - policyRejected, reference: referenceChosen - referenceRejected,
      previous: lastChosen - lastRejected, probability: probability)
  }
}
