import GGUF
import Tensors
import Testing
import Tokenization

/// SentencePiece's rules on a vocabulary small enough to follow by hand.
struct SentencePieceTests {
  /// <unk> 0, <s> 1, then the bytes, then the pieces, the best score first.
  static func vocabulary(_ pieces: [String], user: [String] = []) -> TokenizerVocabulary {
    let bytes = (0...255).map { "<0x" + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) + ">" }
    var vocabulary = TokenizerVocabulary(
      model: "llama", pre: "default", tokens: ["<unk>", "<s>"] + bytes + pieces + user,
      types: [2, 3] + bytes.map { _ in 6 } + pieces.map { _ in 1 } + user.map { _ in 4 }, bos: 1)
    vocabulary.unknown = 0
    vocabulary.scores = (0..<vocabulary.tokens.count).map { -Float($0) }
    return vocabulary
  }

  static let pieces = ["▁▁", "ab", "▁a", "abc", "bc", "▁", "a", "b", "c"]
  static func pieces(_ tokenizer: Tokenizer, _ text: String, continues: Bool = false) -> [String] {
    tokenizer.encode(text, parseSpecial: true, continues: continues).map(tokenizer.piece)
  }

  @Test func theBestScoreIsJoinedFirst() throws {
    let tokenizer = try Tokenizer(Self.vocabulary(Self.pieces))
    #expect(Self.pieces(tokenizer, "abc") == [" ", "abc"])  // ab beats ▁a and bc
    #expect(Self.pieces(tokenizer, "bc a") == [" ", "bc", " a"])
    #expect(Self.pieces(tokenizer, "  abab") == ["  ", " ", "ab", "ab"])
    #expect(Self.pieces(tokenizer, "").isEmpty)
  }

  @Test func amongEqualScoresTheLeftmostIsJoined() throws {
    var vocabulary = Self.vocabulary(["aa", "ab", "▁", "a", "b"])
    vocabulary.scores = vocabulary.scores.map { _ in 0 }
    let tokenizer = try Tokenizer(vocabulary)
    #expect(Self.pieces(tokenizer, "aab") == [" ", "aa", "b"])
    #expect(Self.pieces(tokenizer, "aaa") == [" ", "aa", "a"])
  }

  @Test func aCharacterWithoutPieceBecomesItsBytes() throws {
    let tokenizer = try Tokenizer(Self.vocabulary(Self.pieces))
    #expect(tokenizer.encode("é", parseSpecial: false) == [263, 2 + 0xc3, 2 + 0xa9])
    var vocabulary = Self.vocabulary(Self.pieces)
    vocabulary.types[2 + 0xc3] = 1  // then the byte cannot be written
    #expect(try Tokenizer(vocabulary).encode("ééa", parseSpecial: false) == [263, 0, 264])
  }

  @Test func aSpaceIsPutInFrontAndTakenOffAgain() throws {
    var vocabulary = Self.vocabulary(Self.pieces)
    let tokenizer = try Tokenizer(vocabulary)
    #expect(Self.pieces(tokenizer, "<s>a<s> a") == ["<s>", " a", "<s>", "  ", "a"])
    #expect(Self.pieces(tokenizer, "a", continues: true) == ["a"])
    for text in ["a", " a", "  ab c", "<s>a<s> a", "é▁x".replacing("▁", with: " "), " ", "\n"] {
      let ids = tokenizer.encode(text, parseSpecial: true)
      #expect(tokenizer.decode(ids, skipSpecial: false) == text)
      var decoder = StreamingDecoder(tokenizer, skipSpecial: false)
      #expect(ids.map { decoder.push($0) }.joined() + decoder.flush() == text)
    }
    vocabulary.addsSpacePrefix = false
    let plain = try Tokenizer(vocabulary)
    #expect(
      Self.pieces(plain, "a") == ["a"]
        && plain.decode(plain.encode(" a", parseSpecial: true), skipSpecial: true) == " a")
  }

  @Test func bosIsExpectedUnlessTheFileSaysOtherwise() throws {
    var vocabulary = Self.vocabulary(Self.pieces)
    #expect(try Tokenizer(vocabulary).addsBOS && Tokenizer(vocabulary).preTokenizer == nil)
    vocabulary.addsBOS = false
    #expect(try !Tokenizer(vocabulary).addsBOS)
  }

  @Test func someSpecialTokensSwallowWhiteSpace() throws {
    var vocabulary = Self.vocabulary(Self.pieces, user: ["[l]", "[r]"])
    vocabulary.stripsLeft = [vocabulary.tokens.count - 2]
    vocabulary.stripsRight = [vocabulary.tokens.count - 1]
    let tokenizer = try Tokenizer(vocabulary)
    #expect(Self.pieces(tokenizer, "a \u{3000}\n[l] a") == [" a", "[l]", "  ", "a"])
    #expect(Self.pieces(tokenizer, "[r] \u{85}\na[r] ") == ["[r]", " a", "[r]"])
  }

  @Test func eachFaultHasItsError() {
    func check(_ wanted: TokenizerError, _ change: (inout TokenizerVocabulary) -> Void) {
      var vocabulary = Self.vocabulary(Self.pieces)
      change(&vocabulary)
      #expect(throws: wanted) { try Tokenizer(vocabulary) }
    }
    check(.scoreCount(scores: 2, tokens: 267)) { $0.scores = [0, 0] }
    check(.scoreNotFinite(id: 5)) { $0.scores[5] = .nan }
    check(.malformedByte("<0xGG>", id: 3)) { $0.tokens[3] = "<0xGG>" }
    check(.idOutOfRange(key: "tokenizer.ggml.unknown_token_id", id: 267, tokens: 267)) { $0.unknown = 267 }
  }

  @Test func scoresOfAnotherTypeAreRefused() {
    var metadata = GGUFMetadata()
    metadata.set("tokenizer.ggml.model", .string("llama"))
    metadata.set("tokenizer.ggml.tokens", .strings(["a"]))
    metadata.set("tokenizer.ggml.scores", .array(.uint8, [.uint8(1)]))
    guard case TokenizerError.metadata? = #expect(throws: TokenizerError.self, performing: { try Tokenizer(metadata) })
    else {
      Issue.record("scores of bytes were not refused for their type")
      return
    }
  }

  @Test(arguments: ["a", " ", "ab", " a", "é", "x"])
  func aMegabyteOfOneThingEnds(unit: String) throws {
    let tokenizer = try Tokenizer(Self.vocabulary(Self.pieces))
    let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
    #expect(tokenizer.decode(tokenizer.encode(text, parseSpecial: false), skipSpecial: false) == text)
  }
}
