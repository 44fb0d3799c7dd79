/// What the scanners of pre-tokenizers share: the scalar at a position, its kind, and the runs they have in common.

/// Walks the text once and calls back with the pieces it finds.
protocol PieceScanner {
  var reader: PieceReader { get }
  /// Where the piece that starts at `position` ends. Every text matches, so there is one.
  func end(of seen: PieceReader.Seen, at position: Int) -> Int
}

extension PieceScanner {
  func forEachPiece(_ body: (Range<Int>) -> Void) {
    var position = reader.text.startIndex
    while let seen = reader.look(at: position) {
      let end = end(of: seen, at: position)
      body(position..<end)
      position = end
    }
  }
}

struct PieceReader {
  let text: ArraySlice<UInt8>

  typealias Seen = (scalar: Unicode.Scalar, kind: ScalarKind, next: Int)

  /// Nil at the end of the text.
  func look(at position: Int) -> Seen? {
    guard position < text.endIndex else { return nil }
    let (scalar, next) = decodeScalar(text, at: position)
    return (scalar, ScalarKind(scalar), next)
  }

  /// The end of the longest run of `kinds` from `position`, of at most `limit` scalars.
  func run(of kinds: ScalarKind, from position: Int, limit: Int = .max) -> Int {
    run(from: position, limit: limit) { kinds.contains($0.kind) }
  }

  func run(from position: Int, limit: Int = .max, while holds: (Seen) -> Bool) -> Int {
    var position = position
    var left = limit
    while left > 0, let seen = look(at: position), holds(seen) {
      position = seen.next
      left -= 1
    }
    return position
  }

  /// Whether the scalar that ends at `position` is white space.
  func isSpace(before position: Int) -> Bool {
    guard position > text.startIndex else { return false }
    var start = position - 1
    while start > text.startIndex, text[start] & 0xc0 == 0x80 { start -= 1 }
    return look(at: start)?.kind == .space
  }

  static func isLineBreak(_ scalar: Unicode.Scalar) -> Bool { scalar == "\r" || scalar == "\n" }

  /// `[\r\n]*`
  func lineBreaks(from position: Int) -> Int { run(from: position) { Self.isLineBreak($0.scalar) } }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last line break in the white space; when there is none, all of it at the end
  /// of the text, and elsewhere all but its last scalar, which is left for what follows.
  func spacesWithLineBreaks(from position: Int) -> Int {
    var end: Int?
    _ = run(from: position) { seen in
      if Self.isLineBreak(seen.scalar) { end = seen.next }
      return seen.kind == .space
    }
    return end ?? spaces(from: position)
  }

  /// `\s+(?!\S)|\s+`, as above without the line breaks.
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
