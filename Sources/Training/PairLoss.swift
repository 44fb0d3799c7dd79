/// What a trainer needs to know of a loss on preference pairs: a number and its slope in one margin.

/// The margins of one pair. A margin is log q(y_w|x) − log q(y_l|x), summed over the answer's tokens, in nats.
public struct PairMargins: Equatable, Sendable {
  /// Under the policy being trained, π.
  public var policy: Double
  /// Under π_ref.
  public var reference: Double
  /// Under the last round's policy, π_t.
  public var previous: Double
  /// P(y_w ≻ y_l), when the oracle gave a probability instead of a verdict.
  public var probability: Double?

  public init(policy: Double, reference: Double, previous: Double, probability: Double? = nil) {
    self.policy = policy
    self.reference = reference
    self.previous = previous
    self.probability = probability
  }
}

public struct PairOutcome: Equatable, Sendable {
  public var loss: Double
  /// d loss / d `policy`. The slope in log π(y_w) is this, in log π(y_l) its negative.
  public var dPolicy: Double
  /// The quantity the loss compares with `target`.
  public var h: Double
  /// `nil` for losses that pull without an aim.
  public var target: Double?

  public init(loss: Double, dPolicy: Double, h: Double, target: Double?) {
    self.loss = loss
    self.dPolicy = dPolicy
    self.h = h
    self.target = target
  }
}

public protocol PairLoss: Sendable {
  func callAsFunction(_ margins: PairMargins) -> PairOutcome
}
