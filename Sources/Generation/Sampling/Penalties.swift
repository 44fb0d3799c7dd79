import Tensors

/// Makes tokens of the last `window` positions, the prompt's included, less probable: the logit is divided by `repetition` when
/// positive and multiplied otherwise (Keskar et al. 2019, arXiv 1909.05858), then loses `frequency` for each time the token
/// came and `presence` once.
public struct Penalties: Equatable, Sendable, SamplerStage {
  public var repetition: Double
  /// In nats.
  public var frequency: Double
  /// In nats.
  public var presence: Double
  /// Positions looked back; −1 for all.
  public var window: Int

  public init(repetition: Double = 1, frequency: Double = 0, presence: Double = 0, window: Int = 64) {
    self.repetition = repetition
    self.frequency = frequency
    self.presence = presence
    self.window = window
  }

  var isOn: Bool { window != 0 && (repetition != 1 || frequency != 0 || presence != 0) }

  func check() throws(SamplerError) {
    guard (0.001...1000).contains(repetition) else {
      throw .value("repeat-penalty", "\(repetition)", "from 0.001 to 1000 (1 changes nothing)")
    }
    for (name, value) in [("frequency-penalty", frequency), ("presence-penalty", presence)] {
      guard (-1000...1000).contains(value) else {
        throw .value(name, "\(value)", "from -1000 to 1000 (0 changes nothing)")
      }
    }
    guard window >= -1 else { throw .value("repeat-last-n", "\(window)", "from -1 (all)") }
  }

  func apply(to candidates: inout Candidates, _ situation: DrawSituation) {
    var counts: [TokenID: Double] = [:]
    for token in situation.history.last(window) { counts[token, default: 0] += 1 }
    candidates.setLogits { candidate in
      guard let count = counts[candidate.token] else { return candidate.logit }
      let z = Double(candidate.logit)
      return Float((z > 0 ? z / repetition : z * repetition) - count * frequency - presence)
    }
  }
}

extension [TokenID] {
  /// The last `count` tokens; −1 for all.
  func last(_ count: Int) -> ArraySlice<TokenID> { count < 0 ? self[...] : suffix(count) }
}
