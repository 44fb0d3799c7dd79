/// Tokens that are matched in the text as they are written, before it is split: control tokens on request,
/// user-defined ones always. At each place the longest wins.

import Tensors

struct SpecialTokens: Sendable {
  private struct Entry: Sendable {
    let bytes: [UInt8]
    let id: TokenID
    let isControl: Bool
  }

  /// By first byte, the longest first.
  private var entries: [[Entry]] = Array(repeating: [], count: 256)

  mutating func add(_ text: String, id: TokenID, isControl: Bool) {
    let bytes = Array(text.utf8)
    entries[Int(bytes[0])].append(Entry(bytes: bytes, id: id, isControl: isControl))
  }

  mutating func sort() {
    for first in entries.indices { entries[first].sort { $0.bytes.count > $1.bytes.count } }
  }

  /// The first match at or after `start`; nil when there is none.
  func next(in text: [UInt8], from start: Int, control: Bool) -> (range: Range<Int>, id: TokenID)? {
    for position in start..<text.count {
      for entry in entries[Int(text[position])] where control || !entry.isControl {
        if text[position...].starts(with: entry.bytes) {
          return (position..<(position + entry.bytes.count), entry.id)
        }
      }
    }
    return nil
  }
}
