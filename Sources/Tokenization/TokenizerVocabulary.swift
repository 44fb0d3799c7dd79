/// What a model file says about its tokenizer, as a plain value: parsed once, then independent of the file.
/// `Tokenizer` checks it and works from it; tests build small ones by hand.

import Tensors

public struct TokenizerVocabulary: Equatable, Sendable {
  /// `tokenizer.ggml.token_type`.
  public enum TokenType: Int, Sendable {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  /// The largest counts accepted. Vocabularies in use stay below 300,000 tokens and 600,000 merges.
  public static let tokenLimit = 1 << 24
  public static let mergeLimit = 1 << 24

  enum Model {
    /// `gpt2`: byte-level BPE.
    case bytePairs
    /// `llama`: SentencePiece's BPE.
    case pieces
  }

  /// `tokenizer.ggml.model`: `gpt2` for byte-level BPE, `llama` for SentencePiece.
  public var model: String
  /// `tokenizer.ggml.pre`, the name of the rule that splits text before merging.
  public var pre: String?
  /// Token texts in the byte alphabet (`ByteAlphabet`), or with U+2581 for a space; special tokens as they are written.
  public var tokens: [String]
  /// One `TokenType` raw value a token; empty when the file does not say (all normal).
  public var types: [Int]
  /// `"left right"`, best first.
  public var merges: [String]
  public var bos: Int?
  public var eos: Int?
  public var eot: Int?
  public var eom: Int?
  /// SentencePiece: the token for what the vocabulary cannot write.
  public var unknown: Int?
  /// SentencePiece: one a token, the best joined first.
  public var scores: [Float] = []
  /// `tokenizer.ggml.add_space_prefix`, for SentencePiece; nil means yes.
  public var addsSpacePrefix: Bool?
  /// Special tokens that swallow the white space before or behind them.
  public var stripsLeft: Set<Int> = []
  public var stripsRight: Set<Int> = []
  /// `tokenizer.ggml.add_bos_token`; nil leaves the pre-tokenizer's default.
  public var addsBOS: Bool?

  public init(
    model: String = "gpt2", pre: String?, tokens: [String], types: [Int] = [], merges: [String] = [],
    bos: Int? = nil, eos: Int? = nil, eot: Int? = nil, eom: Int? = nil, addsBOS: Bool? = nil
  ) {
    self.model = model
    self.pre = pre
    self.tokens = tokens
    self.types = types
    self.merges = merges
    self.bos = bos
    self.eos = eos
    self.eot = eot
    self.eom = eom
    self.addsBOS = addsBOS
  }

  /// Texts that end an answer in the model families read here, whatever the id keys say.
  static let endTexts: Set<String> = [
    "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "</s>", "<end_of_turn>",
  ]

  func checkedModel() throws(TokenizerError) -> Model {
    switch model {
    case "gpt2": return .bytePairs
    case "llama": return .pieces
    default: throw .unsupportedModel(model)
    }
  }

  func checkedScores() throws(TokenizerError) -> [Float] {
    guard scores.count == tokens.count else { throw .scoreCount(scores: scores.count, tokens: tokens.count) }
    if let id = scores.firstIndex(where: { !$0.isFinite }) { throw .scoreNotFinite(id: id) }
    return scores
  }

  /// The types as values, with one per token.
  func checkedTypes() throws(TokenizerError) -> [TokenType] {
    if types.isEmpty { return Array(repeating: .normal, count: tokens.count) }
    guard types.count == tokens.count else { throw .typeCount(types: types.count, tokens: tokens.count) }
    var result: [TokenType] = []
    result.reserveCapacity(types.count)
    for (id, raw) in types.enumerated() {
      guard let type = TokenType(rawValue: raw) else { throw .unknownType(raw, id: id) }
      result.append(type)
    }
    return result
  }

  /// The id keys that are present, each below the number of tokens.
  func checkedIDs() throws(TokenizerError) -> (
    bos: TokenID?, eos: TokenID?, eot: TokenID?, eom: TokenID?, unknown: TokenID?
  ) {
    func check(_ id: Int?, _ name: String) throws(TokenizerError) -> TokenID? {
      guard let id else { return nil }
      guard tokens.indices.contains(id) else {
        throw .idOutOfRange(key: "tokenizer.ggml.\(name)_token_id", id: id, tokens: tokens.count)
      }
      return TokenID(id)
    }
    return (
      try check(bos, "bos"), try check(eos, "eos"), try check(eot, "eot"), try check(eom, "eom"),
      try check(unknown, "unknown")
    )
  }
}
