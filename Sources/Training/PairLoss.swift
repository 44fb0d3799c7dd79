/// What a trainer needs to know of a loss: what it looks at, a number, and its slopes in the two answers' log-probs.

/// One answer's log-prob log q(y|x) under three policies, summed over its tokens, in nats. NaN where there is none.
public struct AnswerLogps: Equatable, Sendable {
  /// Under the policy being trained, π.
  public var policy: Double
  /// Under π_ref.
  public var reference: Double
  /// Under the last round's policy, π_t.
  public var previous: Double
  /// Tokens of the answer, its end included.
  public var tokens: Int
  /// P(y ≻ π_t): how often the answer wins against the last policy's, when somebody counted.
  public var winRate: Double?

  public init(
    policy: Double, reference: Double = .nan, previous: Double = .nan, tokens: Int = 1, winRate: Double? = nil
  ) {
    self.policy = policy
    self.reference = reference
    self.previous = previous
    self.tokens = tokens
    self.winRate = winRate
  }

  /// The answer that a loss on one answer does without.
  public static let none = AnswerLogps(policy: .nan, tokens: 0)
}

/// What a loss sees of one pair (y_w, y_l). A margin is log q(y_w|x) − log q(y_l|x).
public struct PairMargins: Equatable, Sendable {
  public var chosen: AnswerLogps
  public var rejected: AnswerLogps
  /// P(y_w ≻ y_l), when the oracle gave a probability instead of a verdict.
  public var probability: Double?

  public init(chosen: AnswerLogps, rejected: AnswerLogps, probability: Double? = nil) {
    self.chosen = chosen
    self.rejected = rejected
    self.probability = probability
  }

  public var policy: Double { chosen.policy - rejected.policy }
  public var reference: Double { chosen.reference - rejected.reference }
  public var previous: Double { chosen.previous - rejected.previous }
}

public struct PairOutcome: Equatable, Sendable {
  public var loss: Double
  /// d loss / d log π(y_w) and d loss / d log π(y_l), of the sums over tokens.
  public var dChosen: Double
  public var dRejected: Double
  /// The margin the loss looks at; `nil` for a loss on one answer.
  public var h: Double?
  /// Where the loss wants `h`; `nil` for losses that pull without an aim.
  public var target: Double?

  public init(loss: Double, dChosen: Double, dRejected: Double, h: Double? = nil, target: Double? = nil) {
    self.loss = loss
    self.dChosen = dChosen
    self.dRejected = dRejected
    self.h = h
    self.target = target
  }

  /// Of a loss that sees the policy only through its margin.
  public init(loss: Double, dPolicy: Double, h: Double, target: Double? = nil) {
    self.init(loss: loss, dChosen: dPolicy, dRejected: -dPolicy, h: h, target: target)
  }
}

/// What a loss looks at beside log π(y_w). What it does not need is neither computed nor reported.
public struct PairNeeds: OptionSet, Hashable, Sendable {
  public let rawValue: Int

  public init(rawValue: Int) { self.rawValue = rawValue }

  public static let rejected = PairNeeds(rawValue: 1)
  /// The log-probs under π_ref and π_t.
  public static let frozen = PairNeeds(rawValue: 2)
}

public protocol PairLoss: Sendable {
  var needs: PairNeeds { get }
  func callAsFunction(_ margins: PairMargins) -> PairOutcome
}

extension PairLoss {
  public var needs: PairNeeds { [.rejected, .frozen] }
}
