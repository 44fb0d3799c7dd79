/// A vocabulary made ready for look-ups, and checked on the way: byte strings, kinds of tokens, special tokens, merges.

import Tensors

struct VocabularyIndex: Sendable {
  enum Kind: UInt8, Sendable {
    /// Matched in text as it is written.
    case control, userDefined
    case text
  }

  /// The bytes each token stands for.
  private(set) var strings: ByteStringTable
  private(set) var kinds: [Kind] = []
  private(set) var special = SpecialTokens()

  init(_ vocabulary: TokenizerVocabulary, _ model: TokenizerVocabulary.Model) throws(TokenizerError) {
    let tokens = vocabulary.tokens
    let types = try vocabulary.checkedTypes()
    var texts = ByteStringTable(capacity: tokens.count)
    strings = ByteStringTable(capacity: tokens.count)
    for (id, text) in tokens.enumerated() {
      guard !text.isEmpty else { throw .emptyToken(id: id) }
      let utf8 = Array(text.utf8)
      texts.append(utf8)
      if let first = texts.link(id) { throw .duplicateToken(text, first: first, second: id) }
      // Some files type turn ends such as <|eot_id|> as normal or user-defined; they are control tokens all the same.
      let looksLikeEnd = text.hasPrefix("<|") && TokenizerVocabulary.endTexts.contains(text)
      let isControl = types[id] == .control || types[id] == .unknown || looksLikeEnd
      let kind: Kind = isControl ? .control : types[id] == .userDefined ? .userDefined : .text
      kinds.append(kind)
      if kind != .text {
        special.add(
          text, id: TokenID(id), isControl: isControl, stripsLeft: vocabulary.stripsLeft.contains(id),
          stripsRight: vocabulary.stripsRight.contains(id))
      }
      switch (model, types[id]) {
      case (.pieces, .byte):
        guard let byte = Self.byte(of: text) else { throw .malformedByte(text, id: id) }
        strings.append([byte])
      case (.pieces, _):
        strings.append(kind == .control ? utf8 : SentencePieces.unmarked(utf8))
        if types[id] == .normal { _ = strings.link(id) }
      case (.bytePairs, _):
        strings.append(kind == .text ? ByteAlphabet.bytes(of: utf8[...]) : utf8)
        if kind == .text { _ = strings.link(id) }
      }
    }
    // Last, so that a special token never hides an ordinary one with the same bytes.
    if model == .bytePairs { for id in tokens.indices { _ = strings.link(id) } }
    special.sort()
  }

  /// The byte written `<0xNN>`.
  static func byte(of text: String) -> UInt8? {
    guard text.utf8.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">") else { return nil }
    return UInt8(text.dropFirst(3).dropLast(), radix: 16)
  }

  // MARK: Byte pairs

  func merger(_ merges: [String]) throws(TokenizerError) -> BytePairMerger {
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

  // MARK: SentencePiece

  func pieces(_ vocabulary: TokenizerVocabulary, unknown: TokenID?) throws(TokenizerError) -> SentencePieces {
    let scores = try vocabulary.checkedScores()
    let best = Array(Set(scores)).sorted(by: >)
    let order = Dictionary(uniqueKeysWithValues: zip(best, best.indices.map { UInt32($0) }))
    var byteTokens = [TokenID?](repeating: nil, count: 256)
    var cutsAtSpaces = true
    for (id, text) in vocabulary.tokens.enumerated() {
      if vocabulary.types.indices.contains(id), vocabulary.types[id] == TokenizerVocabulary.TokenType.byte.rawValue {
        if let byte = Self.byte(of: text) { byteTokens[Int(byte)] = TokenID(id) }
      } else if kinds[id] == .text {
        let bytes = strings[id]
        for (left, right) in zip(bytes, bytes.dropFirst()) where right == 0x20 && left != 0x20 { cutsAtSpaces = false }
      }
    }
    return SentencePieces(
      strings: strings, byteTokens: byteTokens, unknown: unknown, ranks: scores.map { order[$0] ?? 0 },
      addsSpacePrefix: vocabulary.addsSpacePrefix ?? true, cutsAtSpaces: cutsAtSpaces)
  }
}
