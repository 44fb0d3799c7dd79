/// Pre-tokenizers that cut in several stages, those of DeepSeek: each stage cuts the pieces of the one before it into
/// what its expression matches and what lies between.

struct SplitStage: Sendable {
  /// The end of the match that starts at a position; nil when none does.
  let match: @Sendable (PieceReader, Int) -> Int?

  private static func pieces(of reader: PieceReader, _ match: (PieceReader, Int) -> Int?, _ body: (Range<Int>) -> Void)
  {
    var start = reader.text.startIndex
    var position = start
    while let seen = reader.look(at: position) {
      guard let end = match(reader, position) else {
        position = seen.next
        continue
      }
      if start < position { body(start..<position) }
      body(position..<end)
      (start, position) = (end, end)
    }
    if start < position { body(start..<position) }
  }

  /// Calls `body` with the pieces of `text` after all of `stages`.
  static func forEachPiece(
    of text: ArraySlice<UInt8>, _ stages: ArraySlice<SplitStage>, _ body: (Range<Int>) -> Void
  ) {
    guard let stage = stages.first else { return text.isEmpty ? () : body(text.startIndex..<text.endIndex) }
    pieces(of: PieceReader(text: text), stage.match) { forEachPiece(of: text[$0], stages.dropFirst(), body) }
  }

  // MARK: Stages

  /// `[\r\n]`
  static let lineBreak = SplitStage { reader, position in
    reader.look(at: position).flatMap { PieceReader.isLineBreak($0.scalar) ? $0.next : nil }
  }

  /// A run of at most `limit` scalars, with one scalar of white space before it if `spaced`: `\s?[…]+`.
  static func run(
    spaced: Bool = false, limit: Int = .max, _ holds: @escaping @Sendable (PieceReader.Seen) -> Bool
  ) -> SplitStage {
    SplitStage { reader, position in
      guard let seen = reader.look(at: position) else { return nil }
      if spaced, seen.kind == .space {
        let end = reader.run(from: seen.next, limit: limit, while: holds)
        if end > seen.next { return end }
      }
      let end = reader.run(from: position, limit: limit, while: holds)
      return end > position ? end : nil
    }
  }

  /// `\s+$`. Only from the first scalar of a run of white space, so that a long run is read once.
  static let trailingSpace = SplitStage { reader, position in
    guard reader.look(at: position)?.kind == .space, !reader.isSpace(before: position) else { return nil }
    return reader.run(of: .space, from: position) == reader.text.endIndex ? reader.text.endIndex : nil
  }

  static let deepSeekLLM: [SplitStage] = [
    lineBreak, run(spaced: true) { isCasedLetter($0) },
    run(spaced: true) {
      isIn($0, [0x21...0x2f, 0x3a...0x7e, 0xff01...0xff0f, 0xff1a...0xff5e, 0x2018...0x201f, 0x3000...0x3002])
    },
    trailingSpace, run { isIn($0, [0x800...0x9fa5, 0xac00...0xd7ff]) }, run { $0.kind == .number },
  ]

  static let deepSeekCoder: [SplitStage] = [
    lineBreak, run(spaced: true) { ScalarKind.letter.contains($0.kind) }, run(spaced: true) { $0.kind == .punctuation },
    run { isIn($0, [0x800...0x9fa5, 0xac00...0xd7ff]) }, run(limit: 1) { $0.kind == .number },
  ]

  static let deepSeekV3: [SplitStage] = [
    run(limit: 3) { $0.kind == .number }, run { isIn($0, [0x4e00...0x9fa5, 0x3040...0x30ff]) },
    SplitStage { deepSeekV3Word($0, at: $1) },
  ]

  private static func isIn(_ seen: PieceReader.Seen, _ ranges: [ClosedRange<UInt32>]) -> Bool {
    ranges.contains { $0.contains(seen.scalar.value) }
  }

  /// The letters with case that DeepSeek's list names: those of the basic plane, less some late additions.
  private static func isCasedLetter(_ seen: PieceReader.Seen) -> Bool {
    guard seen.kind == .upper || seen.kind == .lower, seen.scalar.value < 0x10000 else { return false }
    return !isIn(
      seen,
      [
        0x560...0x560, 0x588...0x588, 0x10c7...0x10ff, 0x1c80...0x1c8f, 0x2d00...0x2d2f, 0xa790...0xa7ff,
        0xab30...0xab6f,
      ])
  }

  /// `[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  private static func deepSeekV3Word(_ reader: PieceReader, at position: Int) -> Int? {
    guard let seen = reader.look(at: position) else { return nil }
    let word: ScalarKind = [.letter, .mark]
    let signs: ScalarKind = [.punctuation, .symbol]
    if signs.contains(seen.kind), seen.scalar.isASCII {
      let end = reader.run(from: seen.next) { $0.scalar.isASCII && ScalarKind.letter.contains($0.kind) }
      if end > seen.next { return end }
    }
    if !signs.contains(seen.kind), !ScalarKind.letter.contains(seen.kind), !PieceReader.isLineBreak(seen.scalar) {
      let end = reader.run(of: word, from: seen.next)
      if end > seen.next { return end }
    }
    if word.contains(seen.kind) { return reader.run(of: word, from: position) }
    let start = seen.scalar == " " ? seen.next : position
    let end = reader.run(of: signs, from: start)
    if end > start { return reader.lineBreaks(from: end) }
    return seen.kind == .space ? reader.spacesWithLineBreaks(from: position) : nil
  }
}
