/// The two families of pre-token scanners. Each walks the text once; the alternatives stand in the order of the
/// regular expression they replace, which is quoted.

/// What both scanners read: the scalar at a position, its class, and runs of one class.
struct PieceReader {
  let text: ArraySlice<UInt8>

  typealias Seen = (scalar: Unicode.Scalar, kind: ScalarClass, next: Int)

  /// Nil at the end of the text.
  func look(at position: Int) -> Seen? {
    guard position < text.endIndex else { return nil }
    let (scalar, next) = decodeScalar(text, at: position)
    return (scalar, ScalarClass(scalar), next)
  }

  /// The end of the longest run of `kind` from `position`, of at most `limit` scalars.
  func run(of kind: ScalarClass, from position: Int, limit: Int = .max) -> Int {
    var position = position
    var left = limit
    while left > 0, let seen = look(at: position), seen.kind == kind {
      position = seen.next
      left -= 1
    }
    return position
  }

  /// `\s+(?!\S)|\s+`: all the white space at the end of the text; elsewhere all but the last scalar of the run, which
  /// is left for what follows, or that scalar when it is alone.
  func spaces(from position: Int) -> Int {
    var last = position
    var end = position
    while let seen = look(at: end), seen.kind == .space {
      last = end
      end = seen.next
    }
    return end == text.endIndex || last == position ? end : last
  }

  /// The end of `'s 't 're 've 'm 'll 'd` at `position`, which holds an apostrophe; nil when there is none.
  func contraction(at position: Int, anyCase: Bool) -> Int? {
    guard let (first, next) = letter(at: position + 1, anyCase: anyCase) else { return nil }
    switch first {
    case "s", "t", "m", "d":
      return next
    case "r", "v", "l":
      guard let (second, end) = letter(at: next, anyCase: anyCase) else { return nil }
      return second == (first == "l" ? "l" : "e") ? end : nil
    default:
      return nil
    }
  }

  private func letter(at position: Int, anyCase: Bool) -> (Unicode.Scalar, next: Int)? {
    guard let seen = look(at: position) else { return nil }
    guard anyCase else { return (seen.scalar, seen.next) }
    switch seen.scalar {
    case "A"..."Z": return (Unicode.Scalar(UInt8(seen.scalar.value) + 32), seen.next)
    case "\u{17F}": return ("s", seen.next)  // the long s folds to s
    default: return (seen.scalar, seen.next)
    }
  }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
struct GPT2Scanner {
  private let reader: PieceReader

  init(_ text: ArraySlice<UInt8>) { reader = PieceReader(text: text) }

  func forEachPiece(_ body: (Range<Int>) -> Void) {
    var position = reader.text.startIndex
    while let seen = reader.look(at: position) {
      let end = end(of: seen, at: position)
      body(position..<end)
      position = end
    }
  }

  private func end(of seen: PieceReader.Seen, at position: Int) -> Int {
    if seen.scalar == "'", let end = reader.contraction(at: position, anyCase: false) { return end }
    if seen.kind != .space { return reader.run(of: seen.kind, from: position) }
    if seen.scalar == " ", let after = reader.look(at: seen.next), after.kind != .space {
      return reader.run(of: after.kind, from: seen.next)
    }
    return reader.spaces(from: position)
  }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
struct Llama3Scanner {
  private let reader: PieceReader
  private let digits: Int

  /// - Parameter digits: the most digits in one piece.
  init(_ text: ArraySlice<UInt8>, digits: Int) {
    reader = PieceReader(text: text)
    self.digits = digits
  }

  func forEachPiece(_ body: (Range<Int>) -> Void) {
    var position = reader.text.startIndex
    while let seen = reader.look(at: position) {
      let end = end(of: seen, at: position)
      body(position..<end)
      position = end
    }
  }

  private func end(of seen: PieceReader.Seen, at position: Int) -> Int {
    if seen.scalar == "'", let end = reader.contraction(at: position, anyCase: true) { return end }
    if seen.kind == .letter { return reader.run(of: .letter, from: position) }
    if seen.kind == .number { return reader.run(of: .number, from: position, limit: digits) }
    let after = reader.look(at: seen.next)
    if !Self.isLineBreak(seen.scalar), after?.kind == .letter { return reader.run(of: .letter, from: seen.next) }
    if seen.kind == .other || seen.scalar == " " && after?.kind == .other {
      return lineBreaks(from: reader.run(of: .other, from: seen.next))
    }
    return lastLineBreak(inSpacesFrom: position) ?? reader.spaces(from: position)
  }

  private static func isLineBreak(_ scalar: Unicode.Scalar) -> Bool { scalar == "\r" || scalar == "\n" }

  private func lineBreaks(from position: Int) -> Int {
    var position = position
    while let seen = reader.look(at: position), Self.isLineBreak(seen.scalar) { position = seen.next }
    return position
  }

  /// The end of the last CR or LF in the run of white space; nil when the run has none.
  private func lastLineBreak(inSpacesFrom position: Int) -> Int? {
    var position = position
    var end: Int?
    while let seen = reader.look(at: position), seen.kind == .space {
      position = seen.next
      if Self.isLineBreak(seen.scalar) { end = position }
    }
    return end
  }
}
