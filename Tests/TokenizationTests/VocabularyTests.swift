import GGUF
import Testing
import Tokenization

/// What is refused in a vocabulary, and what is derived from it.
struct VocabularyTests {
  typealias Change = (inout TokenizerVocabulary) -> Void

  static func error(_ change: Change) -> TokenizerError? {
    var vocabulary = Fixture.vocabulary(merges: ["a b", "ab c"], control: ["<|im_end|>", "<s>"])
    change(&vocabulary)
    do {
      _ = try Tokenizer(vocabulary)
      return nil
    } catch {
      return error
    }
  }

  @Test func theUnchangedVocabularyIsAccepted() { #expect(Self.error { _ in } == nil) }

  @Test func eachFaultHasItsError() {
    func check(_ wanted: TokenizerError, _ change: Change) {
      #expect(Self.error(change) == wanted)
      #expect(wanted.description.hasSuffix("."))
    }
    check(.unsupportedModel("bert")) { $0.model = "bert" }
    check(.missingPreTokenizer) { $0.pre = nil }
    check(.unknownPreTokenizer("default")) { $0.pre = "default" }
    check(.emptyVocabulary) {
      $0.tokens = []
      $0.types = []
    }
    check(.emptyToken(id: 258)) { $0.tokens[258] = "" }
    check(.duplicateToken("<s>", first: 258, second: 259)) { $0.tokens[258] = "<s>" }
    check(.typeCount(types: 259, tokens: 260)) { $0.types.removeLast() }
    check(.unknownType(7, id: 3)) { $0.types[3] = 7 }
    check(.unknownType(0, id: 3)) { $0.types[3] = 0 }
    check(.idOutOfRange(key: "tokenizer.ggml.bos_token_id", id: 260, tokens: 260)) { $0.bos = 260 }
    check(.idOutOfRange(key: "tokenizer.ggml.eos_token_id", id: -1, tokens: 260)) { $0.eos = -1 }
    check(.idOutOfRange(key: "tokenizer.ggml.eot_token_id", id: .max, tokens: 260)) { $0.eot = .max }
    check(.idOutOfRange(key: "tokenizer.ggml.eom_token_id", id: 1 << 32, tokens: 260)) { $0.eom = 1 << 32 }
    check(.malformedMerge("ab", index: 0)) { $0.merges[0] = "ab" }
    check(.malformedMerge("a b c", index: 1)) { $0.merges[1] = "a b c" }
    check(.malformedMerge(" b", index: 0)) { $0.merges[0] = " b" }
    check(.malformedMerge("a ", index: 0)) { $0.merges[0] = "a " }
    check(.malformedMerge("", index: 0)) { $0.merges[0] = "" }
    check(.mergeOfAbsentToken(merge: "xx c", token: "xx", index: 1)) { $0.merges[1] = "xx c" }
    check(.mergeOfAbsentToken(merge: "c xx", token: "xx", index: 1)) { $0.merges[1] = "c xx" }
    check(.mergeOfAbsentToken(merge: "b c", token: "bc", index: 0)) { $0.merges[0] = "b c" }
  }

  /// Two normal forms of one text are two tokens: comparison is by bytes.
  @Test func normalFormsAreNotDuplicates() throws {
    let tokenizer = try Tokenizer(Fixture.vocabulary(control: ["<\u{e9}>", "<e\u{301}>"]))
    #expect(tokenizer.encode("<\u{e9}><e\u{301}>", parseSpecial: true) == [256, 257])
  }

  @Test func aPreTokenizerCanBeForced() throws {
    var vocabulary = Fixture.vocabulary(pre: nil)
    #expect(try Tokenizer(vocabulary, forcing: .qwen2).preTokenizer == .qwen2)
    vocabulary.pre = "llama-v3"
    #expect(try Tokenizer(vocabulary).preTokenizer == .llama3)
    #expect(try Tokenizer(vocabulary, forcing: .gpt2).preTokenizer == .gpt2)
  }

  @Test func everyPublishedNameIsKnown() {
    for name in [
      "smollm", "gpt-2", "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2", "qwen2", "tekken", "gpt-4o",
      "llama4", "deepseek-llm", "deepseek-coder", "deepseek-v3", "deepseek-r1-qwen", "qwen35", "olmo",
    ] {
      #expect(PreTokenizer(name: name) != nil && PreTokenizer.names.contains(name))
    }
    #expect(PreTokenizer(name: "default") == nil)
  }

  @Test func endTokensComeFromKeysAndTexts() throws {
    var vocabulary = Fixture.vocabulary(control: ["<|im_end|>", "<|eot_id|>", "<other>", "</s>"])
    vocabulary.eos = 258
    vocabulary.eot = 7
    #expect(try Tokenizer(vocabulary).endTokens == [7, 256, 257, 258, 259])
    // A turn end typed as normal is a control token all the same; an ordinary word that looks like one is not.
    vocabulary.types[257] = 1
    vocabulary.types[259] = 1
    let tokenizer = try Tokenizer(vocabulary)
    #expect(tokenizer.endTokens == [7, 256, 257, 258])
    #expect(tokenizer.isSpecial(257) && !tokenizer.isSpecial(259))
    #expect(tokenizer.encode("<|eot_id|>", parseSpecial: true) == [257])
  }

  @Test func bosIsAddedByDefaultOnlyForLlama3() throws {
    func adds(_ pre: String, _ flag: Bool?, bos: Int? = 0) throws -> Bool {
      var vocabulary = Fixture.vocabulary(pre: pre)
      vocabulary.bos = bos
      vocabulary.addsBOS = flag
      return try Tokenizer(vocabulary).addsBOS
    }
    #expect(try adds("llama-bpe", nil) && adds("gpt-2", true))
    #expect(try !adds("llama-bpe", false) && !adds("gpt-2", nil) && !adds("llama-bpe", true, bos: nil))
  }

  @Test func theRealFileIsReadWhole() throws {
    let tokenizer = try Tokenizer(Fixture.smolLM2())
    #expect(tokenizer.vocabularySize == 49152)
    #expect(tokenizer.bos == 1 && tokenizer.eos == 2 && !tokenizer.addsBOS)
    #expect(tokenizer.endTokens == [0, 2])
    #expect(tokenizer.preTokenizer == .smollm)
  }

  @Test func metadataErrorsKeepTheirSentence() {
    func error(_ metadata: GGUFMetadata) -> TokenizerError? {
      do {
        _ = try Tokenizer(metadata)
        return nil
      } catch { return error }
    }
    var metadata = GGUFMetadata()
    #expect(error(metadata) == .metadata(GGUFError.missingKey("tokenizer.ggml.model").description))
    metadata.set("tokenizer.ggml.model", .string("t5"))
    #expect(error(metadata) == .unsupportedModel("t5"))
    metadata.set("tokenizer.ggml.model", .string("gpt2"))
    metadata.set("tokenizer.ggml.tokens", .strings(["a"]))
    metadata.set("tokenizer.ggml.pre", .string("gpt-2"))
    #expect(error(metadata) == nil)
    metadata.set("tokenizer.ggml.token_type", .strings(["a"]))
    guard case .metadata? = error(metadata) else {
      Issue.record("a type list of strings was accepted")
      return
    }
  }
}
