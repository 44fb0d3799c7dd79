import Tensors

/// One idea of the sampler: changes logits, or drops candidates. At least one candidate is left.
protocol SamplerStage: Sendable {
  /// False when the stage, set as it is, changes nothing.
  var isOn: Bool { get }
  func apply(to candidates: inout Candidates, _ situation: DrawSituation)
}

/// What a draw depends on besides the logits. All of it follows from seed, prompt, sample and position.
package struct DrawSituation {
  /// In [0, 1): the draw is the inverse of the cumulative distribution in token order.
  package var uniform: Double
  /// In [0, 1): whether XTC strikes.
  package var chance: Double
  /// The prompt and what was drawn so far.
  package var history: [TokenID]
  /// Mirostat's bound on the surprise, in bits; nil before the first draw.
  package var surpriseLimit: Double?

  package init(uniform: Double, chance: Double = 0, history: [TokenID] = [], surpriseLimit: Double? = nil) {
    self.uniform = uniform
    self.chance = chance
    self.history = history
    self.surpriseLimit = surpriseLimit
  }
}
