/// How answers are drawn and what ends them, and the values these options stand for. Names are llama.cpp's where it has one.

import ArgumentParser
import Generation
import INPO
import Tensors
import Tokenization

struct SamplerOptions: ParsableArguments {
  @Option(
    parsing: .unconditional, help: "Divides the logits; 0 takes the most probable token. Default: 1, for chat 0.5.")
  var temperature: Double?

  @Option(parsing: .unconditional, help: "Keep the k most probable tokens; 0 keeps all.")
  var topK = 0

  @Option(
    parsing: .unconditional,
    help: "Keep the fewest tokens whose probability reaches p; 1 keeps all. Default: 1, for chat 0.9.")
  var topP: Double?

  @Option(parsing: .unconditional, help: "Keep tokens at least this fraction as probable as the best; 0 keeps all.")
  var minP = 0.0

  @Option(
    parsing: .unconditional, help: "Keep the tokens of the most expected surprise up to this probability; 1 keeps all.")
  var typical = 1.0

  @Option(parsing: .unconditional, help: "Keep logits within n standard deviations of the best; 0 keeps all.")
  var topNSigma = 0.0

  @Option(parsing: .unconditional, help: "XTC: the chance that the top choices are dropped, but for the last; 0 never.")
  var xtcProbability = 0.0

  @Option(parsing: .unconditional, help: "XTC: from which probability on a token is a top choice.")
  var xtcThreshold = 0.1

  @Option(
    parsing: .unconditional, help: "The temperature varies by this much, low where the model is sure; 0 does not.")
  var dynatempRange = 0.0

  @Option(parsing: .unconditional, help: "How the varying temperature follows the entropy.")
  var dynatempExp = 1.0

  @Option(
    parsing: .unconditional, help: "Divides logits of tokens seen lately, if positive, else multiplies them; 1 is off.")
  var repeatPenalty = 1.0

  @Option(parsing: .unconditional, help: "Subtracted for each time a token was seen lately.")
  var frequencyPenalty = 0.0

  @Option(parsing: .unconditional, help: "Subtracted from tokens seen lately.")
  var presencePenalty = 0.0

  @Option(parsing: .unconditional, help: "How many tokens are 'lately', the prompt's included; -1 for all.")
  var repeatLastN = 64

  @Option(
    parsing: .unconditional,
    help: "DRY: subtracted from what would repeat a sequence, times base^(length - allowed); 0 is off.")
  var dryMultiplier = 0.0

  @Option(parsing: .unconditional, help: "DRY: base of that power.")
  var dryBase = 1.75

  @Option(parsing: .unconditional, help: "DRY: the shortest sequence that counts.")
  var dryAllowedLength = 2

  @Option(parsing: .unconditional, help: "DRY: how many tokens are looked at, the prompt's included; -1 for all.")
  var dryPenaltyLastN = -1

  @Option(
    parsing: .unconditionalSingleValue,
    help:
      "DRY: no repetition reaches across tokens with this text; may come again. Default: line break, colon, quote, star."
  )
  var drySequenceBreaker: [String] = []

  @Flag(help: "Hold the surprise near a target (Mirostat 2), after the other samplers.")
  var mirostat = false

  @Option(parsing: .unconditional, help: "Mirostat: the surprise aimed at, in bits a token.")
  var mirostatEnt = 5.0

  @Option(parsing: .unconditional, help: "Mirostat: how fast the limit follows.")
  var mirostatLr = 0.1

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp("Added to the logit of a token id; -inf forbids it; may come again.", valueName: "id=bias"))
  var logitBias: [LogitBiasChoice] = []

  @Option(
    help: ArgumentHelp(
      "The samplers that run, in their order. Default: \(SamplerOrder.llama.text).", valueName: "a;b;c"))
  var samplers: String?

  @Flag(help: "The order of Hugging Face's generate: the temperature before what cuts.")
  var hfOrder = false

  @Option(parsing: .unconditionalSingleValue, help: "A text that ends an answer and is cut off it; may come again.")
  var stop: [String] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "A token that ends an answer, by id or text, beside the model's own; may come again.")
  var stopToken: [String] = []

  @Flag(help: "Go on after the model's end tokens.")
  var ignoreEos = false

  @Option(parsing: .unconditional, help: "Seed of the randomness: the same seed gives the same answers.")
  var seed: UInt64 = 1

  @Option(parsing: .unconditional, help: "Most tokens of an answer.")
  var maxTokens = 512

  func check() throws {
    try Allowed.tokens.check(maxTokens, of: "--max-tokens")
    if samplers != nil && hfOrder { throw ValidationError("--samplers and --hf-order exclude each other.") }
    if stop.contains("") { throw ValidationError("--stop is empty; give a text.") }
    do { try sampler().check() } catch { throw ValidationError("\(error)") }
  }

  /// What is not given takes the value of `defaults`: the policy itself, unless a command says otherwise.
  private func sampler(defaults: SamplerConfig = SamplerConfig()) throws -> SamplerConfig {
    var config = SamplerConfig(
      temperature: temperature ?? defaults.temperature, topK: topK, topP: topP ?? defaults.topP, minP: minP)
    config.typicalP = typical
    config.topNSigma = topNSigma
    config.xtc = XTC(probability: xtcProbability, threshold: xtcThreshold)
    config.dynamicTemperature = DynamicTemperature(range: dynatempRange, exponent: dynatempExp)
    config.penalties = Penalties(
      repetition: repeatPenalty, frequency: frequencyPenalty, presence: presencePenalty, window: repeatLastN)
    config.dry = DRY(
      multiplier: dryMultiplier, base: dryBase, allowedLength: dryAllowedLength, window: dryPenaltyLastN)
    if mirostat { config.mirostat = Mirostat(target: mirostatEnt, rate: mirostatLr) }
    for choice in logitBias { config.logitBias[choice.token] = choice.bias }
    if let samplers { config.order = try SamplerOrder(samplers) }
    if hfOrder { config.order = .huggingFace }
    return config
  }

  /// Everything, with what needs the model's tokens.
  func options(_ tokenizer: Tokenizer, defaults: SamplerConfig) throws -> GenerationOptions {
    var config = try sampler(defaults: defaults)
    if config.dry.multiplier != 0 {
      config.dry.breakers = tokenizer.tokens(
        containing: drySequenceBreaker.isEmpty ? DRY.usualBreakers : drySequenceBreaker)
    }
    for token in config.logitBias.keys.sorted() { try Self.check(token, tokenizer) }
    let stopTokens = try stopToken.map { try Self.token($0, tokenizer) }
    var options = GenerationOptions(
      sampler: config, seed: seed, maximumTokens: maxTokens,
      endTokens: (ignoreEos ? [] : tokenizer.endTokens).union(stopTokens), isCancelled: { Interrupt.isReceived })
    options.stopStrings = stop
    return options
  }

  /// A token by its id, or by a text that is one token.
  private static func token(_ text: String, _ tokenizer: Tokenizer) throws -> TokenID {
    if let id = TokenID(text) { return try check(id, tokenizer) }
    let ids = tokenizer.encode(text, parseSpecial: true)
    guard ids.count == 1 else {
      throw ValidationError(
        "--stop-token '\(text)' is \(ids.count) tokens of this model; give one token, or the text as --stop.")
    }
    return ids[0]
  }

  @discardableResult
  private static func check(_ id: TokenID, _ tokenizer: Tokenizer) throws -> TokenID {
    guard id < tokenizer.vocabularySize else {
      throw ValidationError(
        "Token id \(id) is outside the vocabulary of \(tokenizer.vocabularySize); `parley tokenize` shows ids.")
    }
    return id
  }
}

/// `ID=BIAS`.
struct LogitBiasChoice: ExpressibleByArgument {
  let token: TokenID
  let bias: Float

  init?(argument: String) {
    let parts = argument.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, let token = TokenID(parts[0]), let bias = Float(parts[1]), !bias.isNaN else { return nil }
    (self.token, self.bias) = (token, bias)
  }
}
