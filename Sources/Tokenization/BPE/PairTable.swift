/// From a pair of neighbouring tokens to the rank of the merge that joins them.

import Tensors

struct PairTable: Sendable {
  /// No merge joins the pair.
  static let none = UInt32.max

  private var keys: [UInt64]
  private var ranks: [UInt32]
  private let mask: Int

  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    keys = Array(repeating: 0, count: size)
    ranks = Array(repeating: Self.none, count: size)
    mask = size - 1
  }

  /// Keeps the lower rank when a pair comes twice.
  mutating func add(_ left: TokenID, _ right: TokenID, rank: UInt32) {
    let slot = slot(of: left, right)
    guard ranks[slot] == Self.none else { return }
    keys[slot] = Self.key(left, right)
    ranks[slot] = rank
  }

  func rank(_ left: TokenID, _ right: TokenID) -> UInt32 { ranks[slot(of: left, right)] }

  private static func key(_ left: TokenID, _ right: TokenID) -> UInt64 { UInt64(left) << 32 | UInt64(right) }

  private func slot(of left: TokenID, _ right: TokenID) -> Int {
    let key = Self.key(left, right)
    let hash = key &* 0x9e37_79b9_7f4a_7c15  // 2^64 divided by the golden ratio
    var slot = Int(truncatingIfNeeded: hash >> 32) & mask
    while ranks[slot] != Self.none, keys[slot] != key { slot = (slot + 1) & mask }
    return slot
  }
}
