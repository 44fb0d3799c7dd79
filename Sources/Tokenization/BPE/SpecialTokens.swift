/// Tokens that are matched in the text as they are written, before it is split: control tokens on request,
/// user-defined ones always. At each place the longest wins. Some swallow the white space beside them.

import Tensors

struct SpecialTokens: Sendable {
  private struct Entry: Sendable {
    let bytes: [UInt8]
    let id: TokenID
    let isControl: Bool
    let stripsLeft: Bool
    let stripsRight: Bool
  }

  /// By first byte, the longest first.
  private var entries: [[Entry]] = Array(repeating: [], count: 256)

  mutating func add(_ text: String, id: TokenID, isControl: Bool, stripsLeft: Bool, stripsRight: Bool) {
    let bytes = Array(text.utf8)
    entries[Int(bytes[0])].append(
      Entry(bytes: bytes, id: id, isControl: isControl, stripsLeft: stripsLeft, stripsRight: stripsRight))
  }

  mutating func sort() {
    for first in entries.indices { entries[first].sort { $0.bytes.count > $1.bytes.count } }
  }

  /// The first match at or after `start`, with the white space it swallows; nil when there is none.
  func next(in text: [UInt8], from start: Int, control: Bool) -> (range: Range<Int>, id: TokenID)? {
    for position in start..<text.count {
      for entry in entries[Int(text[position])] where control || !entry.isControl {
        guard text[position...].starts(with: entry.bytes) else { continue }
        var (low, high) = (position, position + entry.bytes.count)
        if entry.stripsLeft {
          while PieceReader(text: text[start..<low]).isSpace(before: low) { low = Self.scalarStart(before: low, text) }
        }
        if entry.stripsRight { high = PieceReader(text: text[high...]).run(of: .space, from: high) }
        return (low..<high, entry.id)
      }
    }
    return nil
  }

  private static func scalarStart(before position: Int, _ text: [UInt8]) -> Int {
    var start = position - 1
    while text[start] & 0xc0 == 0x80 { start -= 1 }
    return start
  }
}
