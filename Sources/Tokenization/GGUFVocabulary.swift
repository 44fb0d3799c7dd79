import GGUF

/// The only file that reads GGUF metadata: tokenizer and template keys become plain values here.

extension TokenizerVocabulary {
  /// - Throws: `TokenizerError.metadata` when a key is missing or has the wrong type.
  public init(_ metadata: GGUFMetadata) throws(TokenizerError) {
    do {
      self.init(
        model: try metadata.string("tokenizer.ggml.model"),
        pre: try metadata.optionalString("tokenizer.ggml.pre"),
        tokens: try metadata.strings("tokenizer.ggml.tokens"),
        types: try metadata.optionalInts("tokenizer.ggml.token_type") ?? [],
        merges: try metadata.optionalStrings("tokenizer.ggml.merges") ?? [],
        bos: try metadata.optionalInt("tokenizer.ggml.bos_token_id"),
        eos: try metadata.optionalInt("tokenizer.ggml.eos_token_id"),
        eot: try metadata.optionalInt("tokenizer.ggml.eot_token_id"),
        eom: try metadata.optionalInt("tokenizer.ggml.eom_token_id"),
        addsBOS: try metadata.optionalBool("tokenizer.ggml.add_bos_token"))
      if model == "llama" {
        scores = try metadata.floats("tokenizer.ggml.scores")
        unknown = try metadata.optionalInt("tokenizer.ggml.unknown_token_id")
        addsSpacePrefix = try metadata.optionalBool("tokenizer.ggml.add_space_prefix")
      }
      if model == "llama", try metadata.optionalString("general.name")?.lowercased().contains("phi-3") == true {
        // GGUF has no key for this; Phi-3's own tokenizer strips behind all special tokens but these.
        let kept = ["<unk>", "<s>", "<|endoftext|>"]
        stripsRight = Set(tokens.indices.filter { tokens[$0].hasPrefix("<") && !kept.contains(tokens[$0]) })
      }
    } catch {
      throw .metadata(error.description)
    }
    let rewrites = metadata["tokenizer.ggml.precompiled_charsmap"].map { $0 != .array(.uint8, []) } ?? false
    let removes = metadata["tokenizer.ggml.remove_extra_whitespaces"] == .bool(true)
    if model == "llama", rewrites || removes { throw .charsmap }
  }
}

extension Tokenizer {
  /// The tokenizer of a model file.
  /// - Parameter preTokenizer: use this instead of `tokenizer.ggml.pre`.
  public init(_ metadata: GGUFMetadata, forcing preTokenizer: PreTokenizer? = nil) throws(TokenizerError) {
    // Asked first, so that another kind of tokenizer is refused by its name and not for a key it need not have.
    let model: String
    do { model = try metadata.string("tokenizer.ggml.model") } catch { throw .metadata(error.description) }
    guard model == "gpt2" || model == "llama" else { throw .unsupportedModel(model) }
    try self.init(TokenizerVocabulary(metadata), forcing: preTokenizer)
  }
}

extension ChatTemplate {
  /// The template in a model file, nil when it has none. It is parsed only here, so a template this program cannot
  /// run does not keep the model from being used with raw text.
  public static func inFile(_ metadata: GGUFMetadata) throws -> ChatTemplate? {
    guard let source = try metadata.optionalString("tokenizer.chat_template") else { return nil }
    let tokens = try metadata.optionalStrings("tokenizer.ggml.tokens") ?? []
    func text(_ key: String) throws -> String {
      guard let id = try metadata.optionalInt(key), tokens.indices.contains(id) else { return "" }
      return tokens[id]
    }
    return try ChatTemplate(
      source: source, bosToken: try text("tokenizer.ggml.bos_token_id"),
      eosToken: try text("tokenizer.ggml.eos_token_id"))
  }
}
