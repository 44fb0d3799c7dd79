/// The scanners of pre-tokenizers that are one regular expression. Each walks the text once; the alternatives stand in
/// the order of the expression they replace, which is quoted.

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
struct GPT2Scanner: PieceScanner {
  let reader: PieceReader

  init(_ text: ArraySlice<UInt8>) { reader = PieceReader(text: text) }

  func end(of seen: PieceReader.Seen, at position: Int) -> Int {
    if seen.scalar == "'", let end = reader.contraction(at: position, anyCase: false) { return end }
    if seen.kind != .space { return reader.run(of: Self.group(seen.kind), from: position) }
    if seen.scalar == " ", let after = reader.look(at: seen.next), after.kind != .space {
      return reader.run(of: Self.group(after.kind), from: seen.next)
    }
    return reader.spaces(from: position)
  }

  private static func group(_ kind: ScalarKind) -> ScalarKind {
    ScalarKind.letter.contains(kind) ? .letter : kind == .number ? .number : .rest
  }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
struct Llama3Scanner: PieceScanner {
  let reader: PieceReader
  private let digits: Int
  private let letters: ScalarKind
  private let rest: ScalarKind

  /// - Parameters:
  ///   - digits: the most digits in one piece.
  ///   - marks: combining marks count as letters.
  init(_ text: ArraySlice<UInt8>, digits: Int, marks: Bool = false) {
    reader = PieceReader(text: text)
    self.digits = digits
    letters = marks ? [.letter, .mark] : .letter
    rest = marks ? ScalarKind.rest.subtracting(.mark) : .rest
  }

  func end(of seen: PieceReader.Seen, at position: Int) -> Int {
    if seen.scalar == "'", let end = reader.contraction(at: position, anyCase: true) { return end }
    if letters.contains(seen.kind) { return reader.run(of: letters, from: position) }
    if seen.kind == .number { return reader.run(of: .number, from: position, limit: digits) }
    let after = reader.look(at: seen.next)?.kind ?? []
    if !PieceReader.isLineBreak(seen.scalar), !after.isEmpty, letters.contains(after) {
      return reader.run(of: letters, from: seen.next)
    }
    if rest.contains(seen.kind) || seen.scalar == " " && !after.isEmpty && rest.contains(after) {
      return reader.lineBreaks(from: reader.run(of: rest, from: seen.next))
    }
    return reader.spacesWithLineBreaks(from: position)
  }
}

/// With X for `[^\r\n\p{L}\p{N}]`, U for `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, W for `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, and C for the
/// contractions in any case, which tekken lacks:
/// `X?U*W+C?|X?U+W*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
struct CasedScanner: PieceScanner {
  let reader: PieceReader
  private let digits: Int
  private let contractions: Bool

  private static let upper: ScalarKind = [.upper, .caseless, .mark]
  private static let lower: ScalarKind = [.lower, .caseless, .mark]

  init(_ text: ArraySlice<UInt8>, digits: Int, contractions: Bool) {
    reader = PieceReader(text: text)
    self.digits = digits
    self.contractions = contractions
  }

  func end(of seen: PieceReader.Seen, at position: Int) -> Int {
    if let end = word(of: seen, at: position) {
      guard contractions, reader.look(at: end)?.scalar == "'" else { return end }
      return reader.contraction(at: end, anyCase: true) ?? end
    }
    if seen.kind == .number { return reader.run(of: .number, from: position, limit: digits) }
    let after = reader.look(at: seen.next)?.kind ?? []
    if ScalarKind.rest.contains(seen.kind) || seen.scalar == " " && !after.isEmpty && ScalarKind.rest.contains(after) {
      return reader.run(from: reader.run(of: .rest, from: seen.next)) {
        PieceReader.isLineBreak($0.scalar) || $0.scalar == "/"
      }
    }
    return reader.spacesWithLineBreaks(from: position)
  }

  private func word(of seen: PieceReader.Seen, at position: Int) -> Int? {
    let isLetter = ScalarKind.letter.contains(seen.kind)
    let hasPrefix = !isLetter && seen.kind != .number && !PieceReader.isLineBreak(seen.scalar)
    if hasPrefix, let end = endingLow(from: seen.next) { return end }
    if isLetter || seen.kind == .mark, let end = endingLow(from: position) { return end }
    let start = hasPrefix ? seen.next : position
    let end = reader.run(of: Self.upper, from: start)
    return end > start ? end : nil  // W* is empty here: a letter of W would have matched above
  }

  /// `U*W+`: to the end of the small letters behind the capitals, or back to the last letter without case among them.
  private func endingLow(from start: Int) -> Int? {
    var last: Int?
    let end = reader.run(from: start) { seen in
      guard Self.upper.contains(seen.kind) else { return false }
      if seen.kind != .upper { last = seen.next }
      return true
    }
    let low = reader.run(of: Self.lower, from: end)
    return low > end ? low : last
  }
}
