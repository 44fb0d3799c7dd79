import Llama

/// One preference pair, or one answer alone, ready to train on: token ids and what is known of them.
public struct TrainingPair: Equatable, Sendable {
  /// The prompt, then the chosen answer and, unless the loss looks at one alone, the rejected one.
  public let group: ScoredGroup
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
  /// The record's own name, for messages and files about it.
  public var id: String?

  /// - Precondition: the group has at most two answers.
  public init(
    _ group: ScoredGroup, referenceChosen: Double = .nan, referenceRejected: Double = .nan, lastChosen: Double = .nan,
    lastRejected: Double = .nan, probability: Double? = nil, chosenWinRate: Double? = nil,
    rejectedWinRate: Double? = nil
  ) {
    precondition(group.answers.count <= 2, "a pair has two answers, not \(group.answers.count)")
    self.group = group
    self.referenceChosen = referenceChosen
    self.referenceRejected = referenceRejected
    self.lastChosen = lastChosen
    self.lastRejected = lastRejected
    self.probability = probability
    self.chosenWinRate = chosenWinRate
    self.rejectedWinRate = rejectedWinRate
  }

  var hasRejected: Bool { group.answers.count > 1 }

  /// Tokens of both sequences, the prompt counted with each answer as if it were not shared.
  public var tokens: Int { group.tokens }

  /// Sums under π_t in the order of the answers; `nil` when nobody computed them.
  var last: [Double]? {
    let sums = [lastChosen, lastRejected].prefix(group.answers.count)
    return sums.contains { $0.isNaN } ? nil : Array(sums)
  }

  /// What the pair holds of what a loss can need.
  private var holds: PairNeeds {
    let answers: PairNeeds = hasRejected ? .rejected : []
    let isFrozen = ![referenceChosen, referenceRejected, lastChosen, lastRejected].contains { $0.isNaN }
    return isFrozen ? answers.union(.frozen) : answers
  }

  /// The pair without what a loss does not look at.
  ///
  /// - Throws: `TrainerError.lacking` when something it looks at is not there.
  func reduced(to needs: PairNeeds, pair index: Int) throws(TrainerError) -> TrainingPair {
    guard holds.isSuperset(of: needs) else { throw .lacking(needs.subtracting(holds), pair: index) }
    let keeps = (rejected: needs.contains(.rejected), frozen: needs.contains(.frozen))
    var pair = TrainingPair(
      keeps.rejected ? group : ScoredGroup(prompt: group.prompt, answers: [group.answers[0]]),
      referenceChosen: keeps.frozen ? referenceChosen : .nan,
      referenceRejected: keeps.frozen ? referenceRejected : .nan, lastChosen: keeps.frozen ? lastChosen : .nan,
      lastRejected: keeps.frozen ? lastRejected : .nan, probability: probability, chosenWinRate: chosenWinRate,
      rejectedWinRate: rejectedWinRate)
    pair.id = id
    return pair
  }

  /// - Parameter policy: sums under π in the order of the answers.
  func margins(policy: [Double]) -> PairMargins {
    var margins = PairMargins(
      chosen: AnswerLogps(
        policy: policy[0], reference: referenceChosen, previous: lastChosen, tokens: group.answers[0].count,
        winRate: chosenWinRate),
      rejected: .none, probability: probability)
    if hasRejected {
      margins.rejected = AnswerLogps(
        policy: policy[1], reference: referenceRejected, previous: lastRejected, tokens: group.answers[1].count,
        winRate: rejectedWinRate)
    }
    return margins
  }
}
