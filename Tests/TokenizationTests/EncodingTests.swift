import Tensors
import Testing
import Tokenization

/// Ids and splits against the tokenizers package, and the traps of byte-pair merging.
struct EncodingTests {
  struct IDs: Decodable {
    struct Case: Decodable {
      let text: String
      let plain: [TokenID]
      let special: [TokenID]
    }
    let cases: [Case]
  }

  struct Splits: Decodable {
    let texts: [String]
    let splits: [String: [[String]]]
  }

  @Test func idsEqualThoseOfTheTokenizersPackage() throws {
    let tokenizer = try Tokenizer(Fixture.smolLM2())
    let fixture: IDs = try Fixture.read("tokenization-smollm2.json")
    #expect(fixture.cases.count > 80)
    for item in fixture.cases {
      #expect(tokenizer.encode(item.text, parseSpecial: false) == item.plain, "plain: \(item.text.debugDescription)")
      #expect(tokenizer.encode(item.text, parseSpecial: true) == item.special, "special: \(item.text.debugDescription)")
    }
  }

  // DeepSeek LLM's rule names its letters one by one; its published vectors check it (`VectorTests`).
  @Test(arguments: PreTokenizer.allCases.filter { $0 != .deepSeekLLM })
  func splitsEqualThoseOfTheRegularExpression(rule: PreTokenizer) throws {
    let fixture: Splits = try Fixture.read("tokenization-splits.json")
    let wanted = try #require(fixture.splits[rule.rawValue])
    for (text, pieces) in zip(fixture.texts, wanted) {
      let got = rule.split(text)
      #expect(got.map { Array($0.utf8) } == pieces.map { Array($0.utf8) }, "\(text.debugDescription): \(got)")
    }
  }

  @Test(arguments: PreTokenizer.allCases)
  func splitsJoinToTheText(rule: PreTokenizer) throws {
    let fixture: Splits = try Fixture.read("tokenization-splits.json")
    for text in fixture.texts { #expect(Array(rule.split(text).joined().utf8) == Array(text.utf8)) }
  }

  @Test func decodingGivesTheTextBack() throws {
    let tokenizer = try Tokenizer(Fixture.smolLM2())
    let fixture: IDs = try Fixture.read("tokenization-smollm2.json")
    var checked = 0
    for item in fixture.cases where !item.text.utf8.contains(where: tokenizer.missingBytes.contains) {
      for special in [false, true] {
        let ids = tokenizer.encode(item.text, parseSpecial: special)
        #expect(Array(tokenizer.decode(ids, skipSpecial: false).utf8) == Array(item.text.utf8))
      }
      checked += 1
    }
    #expect(checked > 80)
  }

  @Test func streamedTextEqualsTheWhole() throws {
    let tokenizer = try Tokenizer(Fixture.smolLM2())
    let fixture: IDs = try Fixture.read("tokenization-smollm2.json")
    for item in fixture.cases {
      for skip in [false, true] {
        var decoder = StreamingDecoder(tokenizer, skipSpecial: skip)
        var text = ""
        for id in item.special {
          let part = decoder.push(id)
          // The texts hold U+FFFD once, as a character of its own.
          if !item.text.unicodeScalars.contains("\u{FFFD}") { #expect(!part.unicodeScalars.contains("\u{FFFD}")) }
          text += part
        }
        text += decoder.flush()
        #expect(Array(text.utf8) == Array(tokenizer.decode(item.special, skipSpecial: skip).utf8))
      }
    }
  }

  /// Every sequence of up to four of these bytes: starts, continuations, and bytes UTF-8 never has.
  @Test func streamingRepairsBrokenBytesAsTheWholeDoes() throws {
    let tokenizer = try Tokenizer(Fixture.vocabulary())
    let bytes: [TokenID] = [0x41, 0x80, 0x9f, 0xa0, 0xc1, 0xc3, 0xe0, 0xed, 0xf0, 0xf4, 0xf5]
    var sequences: [[TokenID]] = [[]]
    for _ in 0..<4 {
      sequences = sequences.flatMap { start in bytes.map { start + [$0] } }
      for ids in sequences {
        var decoder = StreamingDecoder(tokenizer)
        let streamed = ids.map { decoder.push($0) }.joined() + decoder.flush()
        #expect(Array(streamed.utf8) == Array(tokenizer.decode(ids, skipSpecial: true).utf8), "\(ids)")
      }
    }
  }

  @Test func streamingHoldsBackHalfACharacter() throws {
    let tokenizer = try Tokenizer(Fixture.vocabulary())
    var decoder = StreamingDecoder(tokenizer)
    #expect(Array("é🙂".utf8).map { decoder.push(TokenID($0)) } == ["", "é", "", "", "", "🙂"])
    #expect(decoder.push(0xf0) == "")
    #expect(decoder.flush() == "\u{FFFD}")
    #expect(decoder.flush() == "")
  }

  /// A merge whose cost grows with the square of the length would not end here.
  @Test(arguments: ["a", " ", "1", "\n", "é", "'", "ab", " x"])
  func aMegabyteOfOneThingEnds(unit: String) throws {
    let tokenizer = try Tokenizer(Fixture.smolLM2())
    let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
    let ids = tokenizer.encode(text, parseSpecial: true)
    #expect(tokenizer.decode(ids, skipSpecial: false) == text)
  }

  @Test func lowestRankFirstThenLeftmost() throws {
    // "aaa" can pair at 0 or 1: the left one wins. "bc" has a better rank than "ab", so "abc" is a + bc.
    let tokenizer = try Tokenizer(Fixture.vocabulary(merges: ["a a", "b c", "a b"]))
    #expect(tokenizer.encode("aaa", parseSpecial: false) == [256, 0x61])
    #expect(tokenizer.encode("aaaa", parseSpecial: false) == [256, 256])
    #expect(tokenizer.encode("abc", parseSpecial: false) == [0x61, 257])
    #expect(tokenizer.encode("ab", parseSpecial: false) == [258])
  }

  @Test func llama3TakesWholePiecesFromTheVocabulary() throws {
    let words = ["xyz"]
    let ignoring = try Tokenizer(Fixture.vocabulary(extra: words, pre: "llama-bpe"))
    let merging = try Tokenizer(Fixture.vocabulary(extra: words, pre: "qwen2"))
    #expect(ignoring.encode("xyz", parseSpecial: false) == [256])
    #expect(merging.encode("xyz", parseSpecial: false) == [0x78, 0x79, 0x7a])
  }

  @Test func specialTokensByKindAndLength() throws {
    let tokenizer = try Tokenizer(Fixture.vocabulary(control: ["<a>", "<a><b>"], user: ["[u]"]))
    #expect(tokenizer.encode("<a><b><a>[u]", parseSpecial: true) == [257, 256, 258])
    #expect(tokenizer.encode("<a>[u]", parseSpecial: false) == [0x3c, 0x61, 0x3e, 258])
    #expect(tokenizer.isSpecial(256) && !tokenizer.isSpecial(258) && !tokenizer.isSpecial(9999))
    #expect(tokenizer.decode([0x61, 256, 0x62, 258], skipSpecial: true) == "ab[u]")
    #expect(tokenizer.decode([0x61, 256], skipSpecial: false) == "a<a>")
    #expect(tokenizer.piece(257) == "<a><b>")
    #expect(tokenizer.bytes(of: 9999).isEmpty)
  }

  @Test func aControlTokenDoesNotHideAnOrdinaryOneWithTheSameBytes() throws {
    var vocabulary = Fixture.vocabulary(merges: ["Ġ Ġ"])
    vocabulary.tokens.insert("  ", at: 0)
    vocabulary.types.insert(3, at: 0)
    let tokenizer = try Tokenizer(vocabulary)
    #expect(tokenizer.encode("  ", parseSpecial: false) == [257])
    #expect(tokenizer.encode("  ", parseSpecial: true) == [0])
  }

  @Test func missingBytesAreNamedAndLeftOut() throws {
    var vocabulary = Fixture.vocabulary()
    vocabulary.tokens.removeLast()
    vocabulary.types.removeLast()
    let tokenizer = try Tokenizer(vocabulary)
    #expect(tokenizer.missingBytes == [0xff])
    #expect(try Tokenizer(Fixture.smolLM2()).missingBytes.contains(4))
  }
}
