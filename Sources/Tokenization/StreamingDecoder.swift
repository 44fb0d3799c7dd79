/// Text of tokens as they come. What it has given out, joined, is always the decoding of what it was given, less the
/// bytes of a character that is not complete yet.

import Tensors

public struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecial: Bool
  private var pending: [UInt8] = []
  private var atStart = true

  /// - Parameter skipSpecial: control tokens give no text.
  public init(_ tokenizer: Tokenizer, skipSpecial: Bool = true) {
    self.tokenizer = tokenizer
    self.skipSpecial = skipSpecial
  }

  /// The text that became complete with this token; often empty inside an emoji.
  public mutating func push(_ id: TokenID) -> String {
    let added = tokenizer.bytes(of: id, atStart: &atStart)
    if skipSpecial && tokenizer.isSpecial(id) { return "" }
    return push(bytes: added[...])
  }

  /// The text that became complete with these bytes, some or all of a token's.
  public mutating func push(bytes: ArraySlice<UInt8>) -> String {
    pending += bytes
    let complete = pending.count - Self.incompleteTail(of: pending)
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left when no more tokens come: nothing, or one U+FFFD for a character that was never finished.
  public mutating func flush() -> String {
    defer { pending.removeAll() }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character that the next token may complete. A sequence that can no longer
  /// become valid is held until its length is full, which delays its U+FFFD and changes nothing else.
  private static func incompleteTail(of bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let byte = bytes[bytes.count - length]
      if byte & 0xc0 == 0x80 { continue }
      let needs = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      return needs > length ? length : 0
    }
    return 0
  }
}
