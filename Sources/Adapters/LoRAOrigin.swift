/// Where an adapter comes from, as far as its file says. Changes no number, so it is no part of a fingerprint.
public struct LoRAOrigin: Equatable, Sendable {
  /// The model it was made over: a name, or one on a hub.
  public var base: String?
  /// What else its maker says, `method` or `eta` for example.
  public var facts: [String: String]

  public init(base: String? = nil, facts: [String: String] = [:]) {
    self.base = base
    self.facts = facts
  }
}
