/// The 256 characters by which byte-level BPE vocabularies write the 256 bytes (GPT-2, Radford et al. 2019).
/// Printable Latin-1 bytes stand for themselves; the other 68, in order, become U+0100 and up: a space is `Ġ`.

enum ByteAlphabet {
  private static func isPrintable(_ byte: Int) -> Bool {
    (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte)
  }

  /// The byte written by each scalar below U+0144.
  private static let byteOfScalar: [UInt32: UInt8] = {
    var map: [UInt32: UInt8] = [:]
    var next: UInt32 = 256
    for byte in 0...255 {
      if isPrintable(byte) {
        map[UInt32(byte)] = UInt8(byte)
      } else {
        map[next] = UInt8(byte)
        next += 1
      }
    }
    return map
  }()

  private static let table: [Int16] = (0..<0x144).map { byteOfScalar[UInt32($0)].map(Int16.init) ?? -1 }

  /// The bytes a token text, given as UTF-8, stands for. A text with any character outside the alphabet stands for its
  /// own UTF-8, as in Hugging Face's decoder.
  static func bytes(of text: ArraySlice<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var position = text.startIndex
    while position < text.endIndex {
      let (scalar, next) = decodeScalar(text, at: position)
      guard scalar.value < table.count, table[Int(scalar.value)] >= 0 else { return Array(text) }
      bytes.append(UInt8(table[Int(scalar.value)]))
      position = next
    }
    return bytes
  }
}
