/// How answers are drawn and what ends them, as text: `RunConfig` reads and checks them, from here as from a run file. Names are
/// llama.cpp's where it has one.

import ArgumentParser
import Generation
import INPO
import Tokenization

struct SamplerOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: ArgumentHelp(help("temperature"))) var temperature: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("top-k"))) var topK: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("top-p"))) var topP: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("min-p"))) var minP: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("typical"))) var typical: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("top-n-sigma"))) var topNSigma: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("xtc-probability"))) var xtcProbability: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("xtc-threshold"))) var xtcThreshold: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("dynatemp-range"))) var dynatempRange: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("dynatemp-exp"))) var dynatempExp: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("repeat-penalty"))) var repeatPenalty: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("frequency-penalty"))) var frequencyPenalty: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("presence-penalty"))) var presencePenalty: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("repeat-last-n"))) var repeatLastN: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("dry-multiplier"))) var dryMultiplier: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("dry-base"))) var dryBase: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("dry-allowed-length"))) var dryAllowedLength: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("dry-penalty-last-n"))) var dryPenaltyLastN: String?
  @Option(parsing: .unconditionalSingleValue, help: ArgumentHelp(help("dry-sequence-breaker"))) var drySequenceBreaker:
    [String] = []
  @Flag(help: ArgumentHelp(help("mirostat"))) var mirostat = false
  @Option(parsing: .unconditional, help: ArgumentHelp(help("mirostat-ent"))) var mirostatEnt: String?
  @Option(parsing: .unconditional, help: ArgumentHelp(help("mirostat-lr"))) var mirostatLr: String?
  @Option(parsing: .unconditionalSingleValue, help: ArgumentHelp(help("logit-bias"), valueName: "id=bias"))
  var logitBias: [String] = []
  @Option(parsing: .unconditional, help: ArgumentHelp(help("samplers"))) var samplers: String?
  @Flag(help: ArgumentHelp(help("hf-order"))) var hfOrder = false
  @Option(parsing: .unconditionalSingleValue, help: ArgumentHelp(help("stop"))) var stop: [String] = []
  @Option(parsing: .unconditionalSingleValue, help: ArgumentHelp(help("stop-token"))) var stopToken: [String] = []
  @Flag(help: ArgumentHelp(help("ignore-eos"))) var ignoreEos = false

  @Option(parsing: .unconditional, help: "Seed of the randomness: the same seed gives the same answers.")
  var seed: UInt64 = 1

  @Option(parsing: .unconditional, help: "Most tokens of an answer.")
  var maxTokens = 512

  /// What may come again says so; the rest is the run file's sentence.
  private static func help(_ name: String) -> String {
    guard let field = ConfigField.named(name) else { return "" }
    return field.isList
      ? field.help.prefix(1).uppercased() + field.help.dropFirst() + "; may come again." : field.sentence
  }

  func check() throws {
    try Allowed.tokens.check(maxTokens, of: "--max-tokens")
    do { try settings().check() } catch let error as SamplerError { throw ValidationError("\(error)") }
  }

  /// - Parameter defaults: what holds where nothing is given: the policy itself, unless a command says otherwise.
  func settings(defaults: [RunConfig.Option] = []) throws -> SamplingSettings {
    var settings = try RunConfig(options: defaults + given).sampling
    settings.maximumTokens = maxTokens
    return settings
  }

  private var given: [RunConfig.Option] {
    let single: [(String, String?)] = [
      ("temperature", temperature), ("top-k", topK), ("top-p", topP), ("min-p", minP), ("typical", typical),
      ("top-n-sigma", topNSigma), ("xtc-probability", xtcProbability), ("xtc-threshold", xtcThreshold),
      ("dynatemp-range", dynatempRange), ("dynatemp-exp", dynatempExp), ("repeat-penalty", repeatPenalty),
      ("frequency-penalty", frequencyPenalty), ("presence-penalty", presencePenalty), ("repeat-last-n", repeatLastN),
      ("dry-multiplier", dryMultiplier), ("dry-base", dryBase), ("dry-allowed-length", dryAllowedLength),
      ("dry-penalty-last-n", dryPenaltyLastN), ("mirostat", mirostat ? "true" : nil), ("mirostat-ent", mirostatEnt),
      ("mirostat-lr", mirostatLr), ("samplers", samplers), ("hf-order", hfOrder ? "true" : nil),
      ("ignore-eos", ignoreEos ? "true" : nil),
    ]
    let lists = [
      ("dry-sequence-breaker", drySequenceBreaker), ("logit-bias", logitBias), ("stop", stop),
      ("stop-token", stopToken),
    ]
    return single.compactMap { name, value in value.map { (name, $0) } }
      + lists.flatMap { name, values in values.map { (name, $0) } }
  }
}
