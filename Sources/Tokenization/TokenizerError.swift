/// Everything that can be wrong with the tokenizer part of a model file, one case each.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
  /// The metadata itself could not be read; the text is the reader's own sentence.
  case metadata(String)
  case unsupportedModel(String)
  case missingPreTokenizer
  case unknownPreTokenizer(String)
  case emptyVocabulary
  case tooManyTokens(Int)
  case tooManyMerges(Int)
  case emptyToken(id: Int)
  case duplicateToken(String, first: Int, second: Int)
  case typeCount(types: Int, tokens: Int)
  case unknownType(Int, id: Int)
  case idOutOfRange(key: String, id: Int, tokens: Int)
  case scoreCount(scores: Int, tokens: Int)
  case scoreNotFinite(id: Int)
  case malformedByte(String, id: Int)
  case charsmap
  case malformedMerge(String, index: Int)
  case mergeOfAbsentToken(merge: String, token: String, index: Int)

  public var description: String {
    switch self {
    case .metadata(let sentence):
      sentence
    case .unsupportedModel(let name):
      "tokenizer.ggml.model is '\(name)'; supported are 'gpt2' (byte-level BPE) and 'llama' (SentencePiece BPE). Use a "
        + "model with such a vocabulary."
    case .missingPreTokenizer:
      "The file has no tokenizer.ggml.pre, so the text would be split by a guess. Convert the model again with a "
        + "current converter, or name the rule with --pre: \(PreTokenizer.nameList)."
    case .unknownPreTokenizer(let name):
      "tokenizer.ggml.pre is '\(name)', which is not known. If it is another name of a known rule, give that "
        + "with --pre: \(PreTokenizer.nameList)."
    case .emptyVocabulary:
      "tokenizer.ggml.tokens is empty. The file is not a complete model."
    case .tooManyTokens(let count):
      "tokenizer.ggml.tokens has \(count) entries, more than \(TokenizerVocabulary.tokenLimit). The file is damaged."
    case .tooManyMerges(let count):
      "tokenizer.ggml.merges has \(count) entries, more than \(TokenizerVocabulary.mergeLimit). The file is damaged."
    case .emptyToken(let id):
      "Token \(id) has no text. Convert the model again."
    case .duplicateToken(let text, let first, let second):
      "Tokens \(first) and \(second) have the same text '\(text)'. Convert the model again."
    case .typeCount(let types, let tokens):
      "tokenizer.ggml.token_type has \(types) entries for \(tokens) tokens. Convert the model again."
    case .unknownType(let type, let id):
      "Token \(id) has type \(type); types are 1 to 6. Convert the model again."
    case .idOutOfRange(let key, let id, let tokens):
      "\(key) is \(id), but there are \(tokens) tokens. Correct the key or convert the model again."
    case .scoreCount(let scores, let tokens):
      "tokenizer.ggml.scores has \(scores) entries for \(tokens) tokens. Convert the model again."
    case .scoreNotFinite(let id):
      "The score of token \(id) is not a finite number. Convert the model again."
    case .malformedByte(let text, let id):
      "Token \(id), '\(text)', is typed as a byte but not written <0xNN>. Convert the model again."
    case .charsmap:
      "The tokenizer rewrites text by a tokenizer.ggml.precompiled_charsmap or removes white space, which is not "
        + "supported. Use a model without it."
    case .malformedMerge(let text, let index):
      "Merge \(index), '\(text)', is not two tokens with one space between them. Convert the model again."
    case .mergeOfAbsentToken(let merge, let token, let index):
      "Merge \(index), '\(merge)', needs token '\(token)', which the vocabulary lacks. Convert the model again."
    }
  }
}
