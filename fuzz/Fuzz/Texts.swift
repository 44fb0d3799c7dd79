import GGUF
import Tensors
import Tokenization

/// The bytes as a text, for every pre-tokenizer over a small vocabulary. What is encoded must decode to the text.
enum Texts {
  private static let tokenizers: [Tokenizer] = PreTokenizer.allCases.map { rule in
    let bytes = (0...255).map { byte in
      let printable = (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte)
      let skipped = (0..<byte).count {
        !((33...126).contains($0) || (161...172).contains($0) || (174...255).contains($0))
      }
      return String(Character(UnicodeScalar(UInt32(printable ? byte : 256 + skipped)) ?? "?"))
    }
    let merges = ["t h", "th e", "Ġ the", "Ġ Ġ", "ĠĠ ĠĠ", "1 2", "Ċ Ċ", "Ã ©", "a a", "aa aa", "e r", "i n"]
    let words = bytes + merges.map { $0.filter { $0 != " " } }
    let special = ["<s>", "</s>", "<|eot_id|>"]
    do {
      return try Tokenizer(
        TokenizerVocabulary(
          pre: rule.rawValue, tokens: words + special, types: words.map { _ in 1 } + special.map { _ in 3 },
          merges: merges, bos: words.count, eos: words.count + 1))
    } catch { fatalError("\(rule): \(error)") }
  }

  static func encode(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    for tokenizer in tokenizers {
      guard let rule = tokenizer.preTokenizer, rule.split(text).joined().utf8.elementsEqual(text.utf8) else {
        fatalError("\(String(describing: tokenizer.preTokenizer)) loses text")
      }
      check(tokenizer, text)
    }
  }

  /// With a tokenizer out of a file, which may lack bytes.
  static func encode(_ bytes: [UInt8], _ metadata: GGUFMetadata) {
    guard let tokenizer = try? Tokenizer(metadata) else { return }
    let text = String(decoding: bytes, as: UTF8.self)
    for special in [false, true] { _ = stream(tokenizer, tokenizer.encode(text, parseSpecial: special)) }
    _ = stream(tokenizer, (0..<TokenID(min(tokenizer.vocabularySize + 2, 4096))).map { $0 })
  }

  private static func check(_ tokenizer: Tokenizer, _ text: String) {
    for special in [false, true] {
      let ids = tokenizer.encode(text, parseSpecial: special)
      guard tokenizer.decode(ids, skipSpecial: false).utf8.elementsEqual(text.utf8) else {
        fatalError("\(String(describing: tokenizer.preTokenizer)) does not give the text back")
      }
      guard stream(tokenizer, ids).utf8.elementsEqual(text.utf8) else {
        fatalError("\(String(describing: tokenizer.preTokenizer)) streams another text")
      }
    }
  }

  private static func stream(_ tokenizer: Tokenizer, _ ids: [TokenID]) -> String {
    var decoder = StreamingDecoder(tokenizer, skipSpecial: false)
    return ids.map { decoder.push($0) }.joined() + decoder.flush()
  }
}
