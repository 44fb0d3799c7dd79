/// Text to token ids and back, for byte-level BPE and SentencePiece vocabularies. Knows nothing of prompts: it never
/// adds a token that is not in the text (`PromptEncoder` does). The rules are those of the Hugging Face tokenizers.

import Tensors

public struct Tokenizer: Sendable {
  /// Nil for SentencePiece, which has none.
  public let preTokenizer: PreTokenizer?
  /// Beginning and end of a sequence, as the file names them.
  public let bos: TokenID?
  public let eos: TokenID?
  /// Every token that ends an answer: end of sequence, of turn, of message, and the texts known to mean it.
  public let endTokens: Set<TokenID>
  /// Whether the model expects BOS in front of every sequence.
  public let addsBOS: Bool
  /// Bytes for which the vocabulary has no token; `encode` leaves them out. SmolLM2 lacks some control characters.
  public let missingBytes: [UInt8]

  private let index: VocabularyIndex
  private let method: Method

  /// How the text between special tokens becomes tokens.
  private enum Method: Sendable {
    case bytePairs(PreTokenizer, BytePairMerger)
    case pieces(SentencePieces)
  }

  /// - Parameters:
  ///   - vocabulary: what the file says; every part is checked.
  ///   - preTokenizer: use this instead of `vocabulary.pre`, for files that name none or a wrong one.
  public init(_ vocabulary: TokenizerVocabulary, forcing preTokenizer: PreTokenizer? = nil) throws(TokenizerError) {
    let kind = try vocabulary.checkedModel()
    var rule: PreTokenizer?
    if kind == .bytePairs {
      if let preTokenizer { rule = preTokenizer } else { rule = try Self.preTokenizer(named: vocabulary.pre) }
    }
    guard !vocabulary.tokens.isEmpty else { throw .emptyVocabulary }
    guard vocabulary.tokens.count <= TokenizerVocabulary.tokenLimit else {
      throw .tooManyTokens(vocabulary.tokens.count)
    }
    let ids = try vocabulary.checkedIDs()
    index = try VocabularyIndex(vocabulary, kind)
    if let rule {
      let merger = try index.merger(vocabulary.merges)
      method = .bytePairs(rule, merger)
      missingBytes = merger.byteTokens.enumerated().filter { $1 == nil }.map { UInt8($0.offset) }
    } else {
      let pieces = try index.pieces(vocabulary, unknown: ids.unknown)
      method = .pieces(pieces)
      missingBytes = pieces.unknown == nil ? (0...255).filter { pieces.byteTokens[Int($0)] == nil } : []
    }
    self.preTokenizer = rule
    bos = ids.bos
    eos = ids.eos
    var ends = Set([ids.eos, ids.eot, ids.eom].compactMap { $0 })
    for (id, text) in vocabulary.tokens.enumerated()
    where index.kinds[id] == .control && TokenizerVocabulary.endTexts.contains(text) {
      ends.insert(TokenID(id))
    }
    endTokens = ends
    addsBOS = ids.bos != nil && (vocabulary.addsBOS ?? rule?.addsBOSByDefault ?? true)
  }

  private static func preTokenizer(named name: String?) throws(TokenizerError) -> PreTokenizer {
    guard let name else { throw .missingPreTokenizer }
    guard let found = PreTokenizer(name: name) else { throw .unknownPreTokenizer(name) }
    return found
  }

  public var vocabularySize: Int { index.strings.count }

  /// The ids of `text`. Never adds BOS or EOS.
  /// - Parameters:
  ///   - parseSpecial: control tokens written in the text become those tokens; otherwise they are plain text.
  ///   - continues: the text goes on with a text before it. Matters for SentencePiece only, which else writes a space
  ///     in front, as it does behind every special token.
  public func encode(_ text: String, parseSpecial: Bool, continues: Bool = false) -> [TokenID] {
    let bytes = Array(text.utf8)
    var ids: [TokenID] = []
    var work = MergeWork()
    var position = 0
    while let match = index.special.next(in: bytes, from: position, control: parseSpecial) {
      encode(bytes[position..<match.range.lowerBound], continues && ids.isEmpty, into: &ids, using: &work)
      ids.append(match.id)
      position = match.range.upperBound
    }
    encode(bytes[position...], continues && ids.isEmpty, into: &ids, using: &work)
    return ids
  }

  private func encode(
    _ text: ArraySlice<UInt8>, _ continues: Bool, into ids: inout [TokenID], using work: inout MergeWork
  ) {
    switch method {
    case .bytePairs(let rule, let merger):
      rule.forEachPiece(of: text) { piece in
        if rule.ignoresMerges, let id = index.strings.find(text[piece]) {
          ids.append(TokenID(id))
        } else {
          merger.encode(text[piece], into: &ids, using: &work)
        }
      }
    case .pieces(let pieces):
      pieces.encode(text, continues: continues, into: &ids, using: &work)
    }
  }

  /// The bytes one token stands for; for a special token, of its text. Empty for an id that is not in the vocabulary
  /// (a model's output may have more rows than the tokenizer has tokens).
  public func bytes(of id: TokenID) -> [UInt8] { id < vocabularySize ? Array(index.strings[Int(id)]) : [] }

  /// The bytes that `id` adds to a text. A space that `encode` put in front is taken off again.
  /// - Parameter atStart: no token, or a special one, stands before it; then says so for the next token.
  package func bytes(of id: TokenID, atStart: inout Bool) -> ArraySlice<UInt8> {
    guard id < vocabularySize else { return [] }
    let bytes = index.strings[Int(id)]
    let isFirst = atStart
    atStart = index.kinds[Int(id)] != .text
    guard isFirst, !atStart, case .pieces(let pieces) = method, pieces.addsSpacePrefix else { return bytes }
    return bytes.first == UInt8(ascii: " ") ? bytes.dropFirst() : bytes
  }

  /// The text of `ids`; what is not valid UTF-8 becomes U+FFFD.
  /// - Parameter skipSpecial: leave control tokens out.
  public func decode(_ ids: [TokenID], skipSpecial: Bool) -> String {
    var bytes: [UInt8] = []
    var atStart = true
    for id in ids {
      let added = self.bytes(of: id, atStart: &atStart)
      if !(skipSpecial && isSpecial(id)) { bytes += added }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// One token as text, for display: bytes that are no whole character show as U+FFFD.
  public func piece(_ id: TokenID) -> String { String(decoding: bytes(of: id), as: UTF8.self) }

  /// True for control tokens, which are no part of an answer's text.
  public func isSpecial(_ id: TokenID) -> Bool { id < vocabularySize && index.kinds[Int(id)] == .control }
}
