/// Win rates and how sure they are.

/// A share of a number of trials with an interval around it.
public struct Interval: Equatable, Sendable {
  public var low: Double
  public var high: Double

  public init(low: Double, high: Double) {
    self.low = low
    self.high = high
  }

  /// Wilson's score interval (1927) for `successes` of `trials`; successes may be fractions, as ties count half.
  ///
  /// - Parameter z: the normal quantile; 1.959964 gives 95 %.
  /// - Returns: 0…1 when there are no trials.
  public static func wilson(successes: Double, trials: Int, z: Double = 1.959963984540054) -> Interval {
    precondition(
      successes >= 0 && successes <= Double(trials), "\(successes) successes cannot come from \(trials) trials")
    guard trials > 0 else { return Interval(low: 0, high: 1) }
    let n = Double(trials)
    let share = successes / n
    let denominator = 1 + z * z / n
    let centre = (share + z * z / (2 * n)) / denominator
    let reach = z / denominator * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
    return Interval(low: max(0, centre - reach), high: min(1, centre + reach))
  }
}

/// Verdicts of one policy against another.
public struct WinRate: Equatable, Sendable {
  public private(set) var wins = 0
  public private(set) var ties = 0
  public private(set) var losses = 0
  private var probabilitySum = 0.0

  public init() {}

  public init(_ probabilities: some Sequence<Double>) {
    for probability in probabilities { add(probability) }
  }

  /// - Parameter probability: P(ours ≻ theirs). Above one half is a win, exactly one half a tie.
  public mutating func add(_ probability: Double) {
    precondition((0...1).contains(probability), "\(probability) is not a probability")
    probabilitySum += probability
    if probability > 0.5 {
      wins += 1
    } else if probability == 0.5 {
      ties += 1
    } else {
      losses += 1
    }
  }

  public var count: Int { wins + ties + losses }

  /// Wins and half the ties, as a share of all; one half when there were none.
  public var rate: Double { count == 0 ? 0.5 : (Double(wins) + Double(ties) / 2) / Double(count) }

  /// Mean of the probabilities themselves: how clearly, not only how often.
  public var meanProbability: Double { count == 0 ? 0.5 : probabilitySum / Double(count) }

  /// 95 %, of `rate`.
  public var interval: Interval { .wilson(successes: Double(wins) + Double(ties) / 2, trials: count) }
}
