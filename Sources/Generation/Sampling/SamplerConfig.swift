import Tensors

/// How a token is drawn from logits. The defaults draw from the policy itself: temperature 1, nothing cut, nothing changed.
///
/// What is set runs in the order of `order`, after the logit bias and before Mirostat.
public struct SamplerConfig: Equatable, Sendable {
  /// Divides the logits; 0 takes the most probable token.
  public var temperature: Double
  /// Keeps the k most probable tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the smallest set whose probability reaches this, the crossing token included; 1 keeps all.
  public var topP: Double
  /// Keeps tokens at least this fraction as probable as the most probable one; 0 keeps all.
  public var minP: Double
  /// Keeps the tokens whose surprise is nearest to the expected one, until their probability exceeds this; 1 keeps all.
  public var typicalP = 1.0
  /// Keeps logits within this many standard deviations of the largest; 0 keeps all.
  public var topNSigma = 0.0
  /// Added to single logits, in nats; −∞ forbids a token.
  public var logitBias: [TokenID: Float] = [:]
  public var penalties = Penalties()
  public var dry = DRY()
  public var xtc = XTC()
  public var dynamicTemperature = DynamicTemperature()
  /// Holds the surprise of what is drawn near a target; nil does not.
  public var mirostat: Mirostat?
  public var order = SamplerOrder.llama

  public init(temperature: Double = 1, topK: Int = 0, topP: Double = 1, minP: Double = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
  }

  /// Whether what is drawn follows the policy's own distribution: temperature 1, nothing cut, nothing changed.
  public var isPolicyItself: Bool { chain.isEmpty }

  /// The stages that do something, in the order in which they run.
  var chain: [any SamplerStage] {
    let stages: [any SamplerStage] = [LogitBias(logitBias)] + order.stages.map(stage) + [mirostat ?? Mirostat.off]
    return stages.filter(\.isOn)
  }

  func stage(_ name: SamplerOrder.Stage) -> any SamplerStage {
    switch name {
    case .penalties: penalties
    case .dry: dry
    case .topNSigma: TopNSigma(deviations: topNSigma)
    case .topK: TopK(count: topK)
    case .typical: Typical(probability: typicalP)
    case .topP: TopP(probability: topP)
    case .minP: MinP(fraction: minP)
    case .xtc: xtc
    case .temperature: Temperature(temperature, dynamicTemperature)
    }
  }

  /// Equal for equal configurations, and for them alone.
  public var identity: String {
    var plain = self
    (plain.logitBias, plain.dry.breakers) = ([:], [])
    return "\(plain) \(logitBias.sorted { $0.key < $1.key }) \(dry.breakers.sorted())"
  }

  /// - Throws: `SamplerError` naming the value that makes no sense, or the stage that is set but not in the order.
  public func check() throws(SamplerError) {
    guard temperature.isFinite, temperature >= 0 else { throw .value("temperature", "\(temperature)", "0 or more") }
    guard topK >= 0 else { throw .value("top-k", "\(topK)", "0 (all) or more") }
    guard topP > 0, topP <= 1 else { throw .value("top-p", "\(topP)", "above 0 and at most 1 (all)") }
    guard minP >= 0, minP <= 1 else { throw .value("min-p", "\(minP)", "between 0 (all) and 1") }
    guard typicalP > 0, typicalP <= 1 else { throw .value("typical", "\(typicalP)", "above 0 and at most 1 (all)") }
    guard topNSigma.isFinite, topNSigma >= 0 else { throw .value("top-n-sigma", "\(topNSigma)", "0 (all) or more") }
    for (token, bias) in logitBias where bias.isNaN || bias == .infinity {
      throw .value("bias of token \(token)", "\(bias)", "that is a number or -inf")
    }
    try penalties.check()
    try dry.check()
    try xtc.check()
    try dynamicTemperature.check()
    try mirostat?.check()
    for name in SamplerOrder.Stage.allCases where stage(name).isOn && !order.stages.contains(name) {
      throw .leftOut(name.rawValue, order.text)
    }
  }
}

public enum SamplerError: Error, Equatable, CustomStringConvertible {
  case value(String, String, String)
  case unknownStage(String)
  case repeatedStage(String)
  case leftOut(String, String)
  case excluding(String, String)
  case severalTokens(String, count: Int)
  case unknownToken(TokenID, vocabulary: Int)
  case notFinite(position: Int)
  case nothingLeft(position: Int)

  public var description: String {
    switch self {
    case .value(let name, let found, let allowed): "The sampler's \(name) is \(found); give a value \(allowed)."
    case .unknownStage(let name):
      "There is no sampler '\(name)'. Choose from \(SamplerOrder.llama.text)."
    case .repeatedStage(let name): "The sampler '\(name)' is named twice. Name each once."
    case .leftOut(let name, let order):
      "The sampler '\(name)' is set but not in the order '\(order)', so it would do nothing. Name it there, or leave its "
        + "options out."
    case .excluding(let one, let other): "'\(one)' and '\(other)' exclude each other. Give one of them."
    case .severalTokens(let text, let count):
      "The stop-token '\(text)' is \(count) tokens of this model. Give one token, or the text as 'stop'."
    case .unknownToken(let id, let vocabulary):
      "Token id \(id) is outside the vocabulary of \(vocabulary); `parley tokenize` shows ids."
    case .notFinite(let position):
      "The model's logits at position \(position) are not finite, so nothing can be drawn. The model or adapter is damaged: "
        + "check its SHA-256, or train with a smaller rate."
    case .nothingLeft(let position):
      "The logit bias forbids every token at position \(position). Forbid fewer."
    }
  }
}
