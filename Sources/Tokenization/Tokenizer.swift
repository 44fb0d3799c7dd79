/// Text to token ids and back, for byte-level BPE vocabularies. Knows nothing of prompts: it never adds a token that
/// is not in the text (`PromptEncoder` does). The rules are those of the Hugging Face tokenizers library.

import Tensors

public struct Tokenizer: Sendable {
  public let preTokenizer: PreTokenizer
  /// Beginning and end of a sequence, as the file names them.
  public let bos: TokenID?
  public let eos: TokenID?
  /// Every token that ends an answer: end of sequence, of turn, of message, and the texts known to mean it.
  public let endTokens: Set<TokenID>
  /// Whether the model expects BOS in front of every sequence.
  public let addsBOS: Bool
  /// Bytes for which the vocabulary has no token; `encode` leaves them out. SmolLM2 lacks some control characters.
  public let missingBytes: [UInt8]

  private let strings: ByteStringTable
  private let isControl: [Bool]
  private let special: SpecialTokens
  private let merger: BytePairMerger

  /// - Parameters:
  ///   - vocabulary: what the file says; every part is checked.
  ///   - preTokenizer: use this instead of `vocabulary.pre`, for files that name none or a wrong one.
  public init(_ vocabulary: TokenizerVocabulary, forcing preTokenizer: PreTokenizer? = nil) throws(TokenizerError) {
    guard vocabulary.model == "gpt2" else { throw .unsupportedModel(vocabulary.model) }
    if let preTokenizer {
      self.preTokenizer = preTokenizer
    } else {
      self.preTokenizer = try Self.preTokenizer(named: vocabulary.pre)
    }
    guard !vocabulary.tokens.isEmpty else { throw .emptyVocabulary }
    guard vocabulary.tokens.count <= TokenizerVocabulary.tokenLimit else {
      throw .tooManyTokens(vocabulary.tokens.count)
    }
    let ids = try vocabulary.checkedIDs()
    let types = try vocabulary.checkedTypes()

    let isControl: [Bool]
    (strings, isControl, special) = try Self.index(vocabulary.tokens, types)
    self.isControl = isControl
    let merger = try Self.merger(vocabulary.merges, strings)
    self.merger = merger
    missingBytes = merger.byteTokens.enumerated().filter { $1 == nil }.map { UInt8($0.offset) }
    bos = ids.bos
    eos = ids.eos
    var ends = Set([ids.eos, ids.eot, ids.eom].compactMap { $0 })
    for (id, text) in vocabulary.tokens.enumerated() where isControl[id] && TokenizerVocabulary.endTexts.contains(text)
    {
      ends.insert(TokenID(id))
    }
    endTokens = ends
    addsBOS = ids.bos != nil && (vocabulary.addsBOS ?? self.preTokenizer.addsBOSByDefault)
  }

  public var vocabularySize: Int { strings.count }

  /// The ids of `text`. Never adds BOS or EOS.
  /// - Parameter parseSpecial: control tokens written in the text become those tokens; otherwise they are plain text.
  public func encode(_ text: String, parseSpecial: Bool) -> [TokenID] {
    let bytes = Array(text.utf8)
    var ids: [TokenID] = []
    var work = MergeWork()
    var position = 0
    while let match = special.next(in: bytes, from: position, control: parseSpecial) {
      encode(bytes[position..<match.range.lowerBound], into: &ids, using: &work)
      ids.append(match.id)
      position = match.range.upperBound
    }
    encode(bytes[position...], into: &ids, using: &work)
    return ids
  }

  private func encode(_ text: ArraySlice<UInt8>, into ids: inout [TokenID], using work: inout MergeWork) {
    preTokenizer.forEachPiece(of: text) { piece in
      if preTokenizer.ignoresMerges, let id = strings.find(text[piece]) {
        ids.append(TokenID(id))
      } else {
        merger.encode(text[piece], into: &ids, using: &work)
      }
    }
  }

  /// The bytes one token stands for; for a special token, of its text. Empty for an id that is not in the vocabulary
  /// (a model's output may have more rows than the tokenizer has tokens).
  public func bytes(of id: TokenID) -> [UInt8] { id < vocabularySize ? Array(strings[Int(id)]) : [] }

  /// The text of `ids`; what is not valid UTF-8 becomes U+FFFD.
  /// - Parameter skipSpecial: leave control tokens out.
  public func decode(_ ids: [TokenID], skipSpecial: Bool) -> String {
    var bytes: [UInt8] = []
    for id in ids where !(skipSpecial && isSpecial(id)) && id < vocabularySize { bytes += strings[Int(id)] }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// One token as text, for display: bytes that are no whole character show as U+FFFD.
  public func piece(_ id: TokenID) -> String { String(decoding: bytes(of: id), as: UTF8.self) }

  /// True for control tokens, which are no part of an answer's text.
  public func isSpecial(_ id: TokenID) -> Bool { id < vocabularySize && isControl[Int(id)] }
}

// MARK: - Reading the vocabulary

extension Tokenizer {
  private static func preTokenizer(named name: String?) throws(TokenizerError) -> PreTokenizer {
    guard let name else { throw .missingPreTokenizer }
    guard let found = PreTokenizer(name: name) else { throw .unknownPreTokenizer(name) }
    return found
  }

  /// The byte strings of all tokens, which of them are control tokens, and the matcher of those written literally.
  private static func index(_ tokens: [String], _ types: [TokenizerVocabulary.TokenType]) throws(TokenizerError)
    -> (strings: ByteStringTable, isControl: [Bool], special: SpecialTokens)
  {
    var texts = ByteStringTable(capacity: tokens.count)
    var strings = ByteStringTable(capacity: tokens.count)
    var special = SpecialTokens()
    var isControl: [Bool] = []
    for (id, text) in tokens.enumerated() {
      guard !text.isEmpty else { throw .emptyToken(id: id) }
      let utf8 = Array(text.utf8)
      texts.append(utf8)
      if let first = texts.link(id) { throw .duplicateToken(text, first: first, second: id) }
      // Some files type turn ends such as <|eot_id|> as normal or user-defined; they are control tokens all the same.
      let looksLikeEnd = text.hasPrefix("<|") && TokenizerVocabulary.endTexts.contains(text)
      let control = types[id] == .control || types[id] == .unknown || looksLikeEnd
      isControl.append(control)
      if control || types[id] == .userDefined {
        special.add(text, id: TokenID(id), isControl: control)
        strings.append(utf8)
      } else {
        strings.append(ByteAlphabet.bytes(of: utf8[...]))
        _ = strings.link(id)
      }
    }
    // Last, so that a special token never hides an ordinary one with the same bytes.
    for id in tokens.indices { _ = strings.link(id) }
    special.sort()
    return (strings, isControl, special)
  }

  private static func merger(_ merges: [String], _ strings: ByteStringTable) throws(TokenizerError) -> BytePairMerger {
    guard merges.count <= TokenizerVocabulary.mergeLimit else { throw .tooManyMerges(merges.count) }
    var pairs = PairTable(capacity: merges.count)
    var products: [TokenID] = []
    products.reserveCapacity(merges.count)
    for (rank, merge) in merges.enumerated() {
      let halves = Array(merge.utf8).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      guard halves.count == 2, !halves[0].isEmpty, !halves[1].isEmpty else {
        throw .malformedMerge(merge, index: rank)
      }
      func id(_ text: ArraySlice<UInt8>) throws(TokenizerError) -> TokenID {
        guard let id = strings.find(ByteAlphabet.bytes(of: text)[...]) else {
          let token = String(decoding: text, as: UTF8.self)
          throw .mergeOfAbsentToken(merge: merge, token: token, index: rank)
        }
        return TokenID(id)
      }
      pairs.add(try id(halves[0]), try id(halves[1]), rank: UInt32(rank))
      products.append(try id(halves[0] + halves[1]))
    }
    let byteTokens = (0...255).map { strings.find([UInt8($0)][...]).map(TokenID.init) }
    return BytePairMerger(byteTokens: byteTokens, pairs: pairs, products: products)
  }
}
