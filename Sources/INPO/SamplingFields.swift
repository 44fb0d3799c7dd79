/// The settings of the sampler, under the names of `generate`: the same table serves its options and the run file.

import Generation
import Tensors

extension ConfigField {
  static let sampling: [ConfigField] = [
    number("temperature", \.sampling.sampler.temperature, 0...100, "divides the logits; 0 takes the likeliest token"),
    integer("top-k", \.sampling.sampler.topK, 0...Int.max, "likeliest tokens kept; 0 keeps all"),
    number("top-p", \.sampling.sampler.topP, 0...1, "probability kept, by the fewest tokens; 1 keeps all"),
    number(
      "min-p", \.sampling.sampler.minP, 0...1, "least share of the likeliest token's probability; 0 keeps all"),
    number(
      "typical", \.sampling.sampler.typicalP, 0...1,
      "probability kept, by the tokens of the most expected surprise; 1 keeps all"
    ),
    number(
      "top-n-sigma", \.sampling.sampler.topNSigma, 0...1e6,
      "logits kept, in standard deviations from the best; 0 keeps all"
    ),
    number(
      "xtc-probability", \.sampling.sampler.xtc.probability, 0...1,
      "XTC: chance that the top choices are dropped, but for the last"),
    number(
      "xtc-threshold", \.sampling.sampler.xtc.threshold, 0...1, "XTC: probability from which a token is a top choice"),
    number(
      "dynatemp-range", \.sampling.sampler.dynamicTemperature.range, 0...100,
      "how far the temperature varies, low where the model is sure; 0 does not"),
    number(
      "dynatemp-exp", \.sampling.sampler.dynamicTemperature.exponent, 0...100,
      "how the varying temperature follows the entropy"),
    number(
      "repeat-penalty", \.sampling.sampler.penalties.repetition, 0...1e6,
      "divides logits of tokens seen lately, if positive, else multiplies them; 1 is off"),
    number(
      "frequency-penalty", \.sampling.sampler.penalties.frequency, -1e6...1e6,
      "subtracted for each time a token was seen lately"),
    number(
      "presence-penalty", \.sampling.sampler.penalties.presence, -1e6...1e6, "subtracted from tokens seen lately"),
    integer(
      "repeat-last-n", \.sampling.sampler.penalties.window, -1...Int.max,
      "how many tokens are 'lately', the prompt's included; -1 for all"),
    number(
      "dry-multiplier", \.sampling.sampler.dry.multiplier, 0...1e6,
      "DRY: subtracted from what would repeat a sequence, times base^(length - allowed); 0 is off"),
    number("dry-base", \.sampling.sampler.dry.base, 0...1e6, "DRY: base of that power"),
    integer(
      "dry-allowed-length", \.sampling.sampler.dry.allowedLength, 1...Int.max, "DRY: shortest sequence that counts"),
    integer(
      "dry-penalty-last-n", \.sampling.sampler.dry.window, -1...Int.max,
      "DRY: how many tokens are looked at, the prompt's included; -1 for all"),
    texts(
      "dry-sequence-breaker", \.sampling.breakers,
      "DRY: texts whose tokens no repetition reaches across; none means line break, colon, quote and star"),
    flag("mirostat", \.sampling.usesMirostat, "hold the surprise near a target (Mirostat 2), after the other samplers"),
    number("mirostat-ent", \.sampling.mirostat.target, 0...1e6, "Mirostat: surprise aimed at, in bits a token"),
    number("mirostat-lr", \.sampling.mirostat.rate, 0...1e6, "Mirostat: how fast the limit follows"),
    biases,
    ConfigField(
      name: "samplers", help: "samplers that run, in their order; llama is \(SamplerOrder.llama.text)",
      expects: "llama, or names from \(SamplerOrder.llama.text), each once",
      read: { config, text in
        let order = text == "llama" ? .success(nil) : Result { () throws(SamplerError) in try SamplerOrder(text) }
        guard case .success(let order) = order else { return false }
        config.sampling.order = order
        return true
      },
      show: { $0.sampling.order?.text ?? "llama" }),
    flag(
      "hf-order", \.sampling.usesHuggingFaceOrder, "order of Hugging Face's generate: the temperature before what cuts"),
    texts("stop", \.sampling.stopStrings, "texts that end an answer and are cut off it"),
    texts("stop-token", \.sampling.stopTokens, "tokens that end an answer, by id or text, beside the model's own"),
    flag("ignore-eos", \.sampling.ignoresEnd, "go on after the model's end tokens"),
    integer("max-new-tokens", \.sampling.maximumTokens, 1...1_000_000, "longest answer"),
    integer("parallel", \.sampling.parallel, 1...65536, "most answers in flight at once, if memory has room for them")
      .changingNoBit,
  ]

  private static let biases = ConfigField(
    name: "logit-bias", help: "added to the logit of a token, as id=bias; -inf forbids it",
    expects: "a token's id and a bias, such as 15=-1.5 or 15=-inf",
    read: { config, text in
      let parts = text.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, let token = TokenID(parts[0]), let bias = Float(parts[1]), !bias.isNaN else {
        return false
      }
      config.sampling.sampler.logitBias[token] = bias
      return true
    },
    show: { config in
      list(config.sampling.sampler.logitBias.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    }
  ).list { $0.sampling.sampler.logitBias = [:] }

  private static func texts(_ name: String, _ path: Path<[String]>, _ help: String) -> ConfigField {
    ConfigField(
      name: name, help: help, expects: "texts",
      read: { config, text in
        config[keyPath: path].append(text)
        return true
      },
      show: { list($0[keyPath: path]) }
    ).list { $0[keyPath: path] = [] }
  }

  private static func list(_ texts: [String]) -> String {
    "[" + texts.map(RunConfig.doubleQuoted).joined(separator: ", ") + "]"
  }
}
