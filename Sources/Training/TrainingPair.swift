import Llama

/// One preference pair, or one answer alone, ready to train on: token ids and what is known of them.
public struct TrainingPair: Equatable, Sendable {
  public let chosen: ScoredSequence
  /// `nil` for losses that look at one answer.
  public let rejected: ScoredSequence?
  /// Sums over the answer's tokens under π_ref and π_t, in nats. NaN where nobody computed them.
  public let referenceChosen: Double
  public let referenceRejected: Double
  public let lastChosen: Double
  public let lastRejected: Double
  /// P(chosen ≻ rejected), for soft labels.
  public let probability: Double?
  /// P(chosen ≻ π_t) and P(rejected ≻ π_t).
  public let chosenWinRate: Double?
  public let rejectedWinRate: Double?

  public init(
    chosen: ScoredSequence, rejected: ScoredSequence? = nil, referenceChosen: Double = .nan,
    referenceRejected: Double = .nan, lastChosen: Double = .nan, lastRejected: Double = .nan,
    probability: Double? = nil, chosenWinRate: Double? = nil, rejectedWinRate: Double? = nil
  ) {
    self.chosen = chosen
    self.rejected = rejected
    self.referenceChosen = referenceChosen
    self.referenceRejected = referenceRejected
    self.lastChosen = lastChosen
    self.lastRejected = lastRejected
    self.probability = probability
    self.chosenWinRate = chosenWinRate
    self.rejectedWinRate = rejectedWinRate
  }

  /// What a pass runs: the chosen answer, then the rejected one when there is one.
  public var sequences: [ScoredSequence] { [chosen, rejected].compactMap { $0 } }

  /// Tokens of all sequences, prompts counted with each answer.
  public var tokens: Int { sequences.reduce(0) { $0 + $1.tokens.count } }

  /// Sums under π_t in the order of `sequences`; `nil` when nobody computed them.
  var last: [Double]? {
    let sums = [lastChosen, lastRejected].prefix(sequences.count)
    return sums.contains { $0.isNaN } ? nil : Array(sums)
  }

  /// What the pair holds of what a loss can need.
  private var holds: PairNeeds {
    let answers: PairNeeds = rejected == nil ? [] : .rejected
    let isFrozen = ![referenceChosen, referenceRejected, lastChosen, lastRejected].contains { $0.isNaN }
    return isFrozen ? answers.union(.frozen) : answers
  }

  /// The pair without what a loss does not look at.
  ///
  /// - Throws: `TrainerError.lacking` when something it looks at is not there.
  func reduced(to needs: PairNeeds, pair index: Int) throws(TrainerError) -> TrainingPair {
    guard holds.isSuperset(of: needs) else { throw .lacking(needs.subtracting(holds), pair: index) }
    let keeps = (rejected: needs.contains(.rejected), frozen: needs.contains(.frozen))
    return TrainingPair(
      chosen: chosen, rejected: keeps.rejected ? rejected : nil,
      referenceChosen: keeps.frozen ? referenceChosen : .nan,
      referenceRejected: keeps.frozen ? referenceRejected : .nan, lastChosen: keeps.frozen ? lastChosen : .nan,
      lastRejected: keeps.frozen ? lastRejected : .nan, probability: probability, chosenWinRate: chosenWinRate,
      rejectedWinRate: rejectedWinRate)
  }

  /// - Parameter policy: sums under π in the order of `sequences`.
  func margins(policy: [Double]) -> PairMargins {
    var margins = PairMargins(
      chosen: AnswerLogps(
        policy: policy[0], reference: referenceChosen, previous: lastChosen, tokens: chosen.answer.count,
        winRate: chosenWinRate),
      rejected: .none, probability: probability)
    if let rejected {
      margins.rejected = AnswerLogps(
        policy: policy[1], reference: referenceRejected, previous: lastRejected, tokens: rejected.answer.count,
        winRate: rejectedWinRate)
    }
    return margins
  }
}
