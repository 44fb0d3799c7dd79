/// From byte strings to token ids, exactly: no Unicode equivalence, unlike a dictionary of `String`.
/// All strings lie in one array, so a vocabulary of 128,000 tokens is four allocations.

struct ByteStringTable: Sendable {
  private var bytes: [UInt8] = []
  private var ends: [Int] = [0]
  /// Open addressing with linear probing; a slot holds an index plus one, zero when empty.
  private var slots: [UInt32]
  private let mask: Int

  /// - Parameter capacity: at most this many strings will be added.
  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = Array(repeating: 0, count: size)
    mask = size - 1
    ends.reserveCapacity(capacity + 1)
  }

  var count: Int { ends.count - 1 }

  /// The bytes of string `index`, in the order they were added.
  subscript(index: Int) -> ArraySlice<UInt8> { bytes[ends[index]..<ends[index + 1]] }

  /// Appends a string as index `count`; `find` does not know it until it is linked.
  mutating func append(_ string: [UInt8]) {
    bytes += string
    ends.append(bytes.count)
  }

  /// Makes string `index` the answer of `find`, unless an equal one was linked before.
  /// - Returns: the index of that earlier string, nil when this is the first.
  mutating func link(_ index: Int) -> Int? {
    let (slot, found) = probe(self[index])
    if found == nil { slots[slot] = UInt32(index + 1) }
    return found
  }

  func find(_ string: ArraySlice<UInt8>) -> Int? { probe(string).found }

  private func probe(_ string: ArraySlice<UInt8>) -> (slot: Int, found: Int?) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a, 64 bits
    for byte in string { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    var slot = Int(truncatingIfNeeded: hash ^ (hash >> 29)) & mask
    while slots[slot] != 0 {
      let index = Int(slots[slot]) - 1
      if self[index].elementsEqual(string) { return (slot, index) }
      slot = (slot + 1) & mask
    }
    return (slot, nil)
  }
}
