import Tensors
import Tokenization

/// How answers are drawn and what ends them, as a person says it: values and texts, from options or from a run file. A model's
/// tokens turn it into `GenerationOptions`.
public struct SamplingSettings: Equatable, Sendable {
  /// What needs neither tokens nor other settings; the rest stands below.
  public var sampler = SamplerConfig()
  public var usesMirostat = false
  public var mirostat = Mirostat()
  /// nil is llama.cpp's order.
  public var order: SamplerOrder?
  public var usesHuggingFaceOrder = false
  /// Texts whose tokens DRY reaches across no repetition; none means the usual ones.
  public var breakers: [String] = []
  /// Texts that end an answer and are cut off it.
  public var stopStrings: [String] = []
  /// Tokens that end an answer beside the model's own, by id or by a text that is one token.
  public var stopTokens: [String] = []
  /// Answers go on after the model's end tokens.
  public var ignoresEnd = false
  /// Most new tokens of an answer.
  public var maximumTokens = 256
  /// Answers in flight at once, if memory has room for them.
  public var parallel = GenerationOptions.defaultSequences

  public init() {}

  /// - Throws: `SamplerError` for values that make no sense or exclude each other. What needs tokens is checked by `options`.
  public func check() throws(SamplerError) {
    if order != nil && usesHuggingFaceOrder { throw .excluding("samplers", "hf-order") }
    if stopStrings.contains("") { throw .value("stop", "an empty text", "that has characters") }
    try config.check()
  }

  /// - Parameters:
  ///   - memory: bytes beside the model; nil is half of what this process may have.
  ///   - isCancelled: as of `GenerationOptions`.
  /// - Throws: `SamplerError` as `check`, and for a token that the vocabulary does not have.
  public func options(
    _ tokenizer: Tokenizer, seed: UInt64, memory: Int? = nil, isCancelled: @escaping () -> Bool
  ) throws(SamplerError) -> GenerationOptions {
    try check()
    var config = config
    if config.dry.multiplier != 0 {
      config.dry.breakers = tokenizer.tokens(containing: breakers.isEmpty ? DRY.usualBreakers : breakers)
    }
    for token in config.logitBias.keys.sorted() { try Self.check(token, tokenizer) }
    var ends = ignoresEnd ? [] : tokenizer.endTokens
    for text in stopTokens { ends.insert(try Self.token(text, tokenizer)) }
    var options = GenerationOptions(
      sampler: config, seed: seed, maximumTokens: maximumTokens, endTokens: ends, maximumSequences: parallel,
      isCancelled: isCancelled)
    options.stopStrings = stopStrings
    if let memory { options.memory = memory }
    return options
  }

  private var config: SamplerConfig {
    var config = sampler
    config.order = usesHuggingFaceOrder ? .huggingFace : order ?? .llama
    config.mirostat = usesMirostat ? mirostat : nil
    return config
  }

  private static func token(_ text: String, _ tokenizer: Tokenizer) throws(SamplerError) -> TokenID {
    if let id = TokenID(text) { return try check(id, tokenizer) }
    let ids = tokenizer.encode(text, parseSpecial: true)
    guard ids.count == 1 else { throw .severalTokens(text, count: ids.count) }
    return ids[0]
  }

  @discardableResult
  private static func check(_ id: TokenID, _ tokenizer: Tokenizer) throws(SamplerError) -> TokenID {
    guard id < tokenizer.vocabularySize else { throw .unknownToken(id, vocabulary: tokenizer.vocabularySize) }
    return id
  }
}
