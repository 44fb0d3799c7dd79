/// Text of tokens as they come. What it has given out, joined, is always the decoding of what it was given, less the
/// bytes of a character that is not complete yet.

public struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecial: Bool
  private var pending: [UInt8] = []

  /// - Parameter skipSpecial: control tokens give no text.
  public init(_ tokenizer: Tokenizer, skipSpecial: Bool = true) {
    self.tokenizer = tokenizer
    self.skipSpecial = skipSpecial
  }

  /// The text that became complete with this token; often empty inside an emoji.
  public mutating func push(_ id: TokenID) -> String {
    if skipSpecial && tokenizer.isSpecial(id) { return "" }
    pending += tokenizer.bytes(of: id)
    let complete = pending.count - Self.incompleteTail(of: pending)
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left when no more tokens come: nothing, or one U+FFFD for a character that was never finished.
  public mutating func flush() -> String {
    defer { pending.removeAll() }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character and may still be completed (Unicode 16, table 3-7).
  static func incompleteTail(of bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead & 0xc0 == 0x80 { continue }
      let needs = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1
      guard needs > length else { return 0 }
      if length > 1, !isSecond(bytes[bytes.count - length + 1], after: lead) { return 0 }
      return length
    }
    return 0
  }

  /// Whether a continuation byte may follow `lead`: no overlong forms, no surrogates, nothing above U+10FFFF.
  private static func isSecond(_ byte: UInt8, after lead: UInt8) -> Bool {
    switch lead {
    case 0xe0: byte >= 0xa0
    case 0xed: byte < 0xa0
    case 0xf0: byte >= 0x90
    case 0xf4: byte < 0x90
    default: true
    }
  }
}
