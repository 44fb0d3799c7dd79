/// SentencePiece's BPE (Kudo & Richardson 2018, arXiv 1808.06226), the tokenizer of Llama 1 and 2 and of early Mistral
/// models: characters are joined, the pair whose piece has the best score first, the leftmost among equals; a character
/// without a piece becomes its bytes. White space is a letter here, U+2581, which this file writes as a space.

import Tensors

struct SentencePieces: Sendable {
  /// The texts of all tokens; `find` knows the normal ones.
  let strings: ByteStringTable
  /// The token of each single byte; nil where the vocabulary has none.
  let byteTokens: [TokenID?]
  /// Stands for what has neither piece nor byte tokens.
  let unknown: TokenID?
  /// By token: 0 for the best score.
  let ranks: [UInt32]
  /// Put a space before the text, as the model was trained.
  let addsSpacePrefix: Bool
  /// No piece has a space behind another character, so no merge crosses from a word to the space behind it.
  let cutsAtSpaces: Bool

  /// A symbol that is no token.
  private static let none = TokenID.max
  private static let space: UInt8 = 0x20
  private static let marker: [UInt8] = [0xe2, 0x96, 0x81]

  /// Token texts as they are meant: the marker is a space.
  static func unmarked(_ text: some Sequence<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    for byte in text {
      bytes.append(byte)
      if byte == marker[2], bytes.suffix(3).elementsEqual(marker) {
        bytes.removeLast(3)
        bytes.append(space)
      }
    }
    return bytes
  }

  /// Appends the tokens of `text`.
  /// - Parameter continues: the text goes on with what stands before it, so that no space is put between.
  func encode(
    _ text: ArraySlice<UInt8>, continues: Bool, into output: inout [TokenID], using work: inout MergeWork
  ) {
    guard !text.isEmpty else { return }
    let line = (addsSpacePrefix && !continues ? [Self.space] : []) + Self.unmarked(text)
    var start = 0
    while start < line.count {
      var end = start + 1
      while end < line.count, !(cutsAtSpaces && line[end] == Self.space && line[end - 1] != Self.space) { end += 1 }
      encode(word: line[start..<end], into: &output, using: &work)
      start = end
    }
  }

  private func encode(word: ArraySlice<UInt8>, into output: inout [TokenID], using work: inout MergeWork) {
    work.clear()
    var position = word.startIndex
    while position < word.endIndex {
      let next = decodeScalar(word, at: position).next
      work.append(strings.find(word[position..<next]).map(TokenID.init) ?? Self.none, at: position)
      position = next
    }
    work.merge(by: Joining(pieces: self, word: word))
    work.visit { node in
      guard work.tokens[node] == Self.none else { return output.append(work.tokens[node]) }
      let bytes = word[work.starts[node]..<end(of: node, in: work, word)]
      let tokens = bytes.compactMap { byteTokens[Int($0)] }
      if tokens.count == bytes.count {
        output += tokens
      } else if let unknown, output.last != unknown {  // neighbours that are unknown are one token
        output.append(unknown)
      }
    }
  }

  private func end(of node: Int, in work: MergeWork, _ word: ArraySlice<UInt8>) -> Int {
    work.next[node] < 0 ? word.endIndex : work.starts[work.next[node]]
  }

  /// The rule for one word: two symbols are joined when their text is a piece.
  private struct Joining: MergeRule {
    let pieces: SentencePieces
    let word: ArraySlice<UInt8>

    func merge(of left: Int, _ right: Int, in work: MergeWork) -> (rank: UInt32, product: TokenID)? {
      let text = word[work.starts[left]..<pieces.end(of: right, in: work, word)]
      return pieces.strings.find(text).map { (pieces.ranks[$0], TokenID($0)) }
    }
  }
}
