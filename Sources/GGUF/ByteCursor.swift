/// Reads little-endian values one after another and never past the end.
///
/// Every size that the file claims is compared with the bytes that are left before anything is allocated.
struct ByteCursor {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var bytesLeft: Int { bytes.count - position }

  mutating func integer<Value: FixedWidthInteger>(
    _ what: @autoclosure () -> String, as type: Value.Type = Value.self
  ) throws(GGUFError) -> Value {
    let size = MemoryLayout<Value>.size
    guard size <= bytesLeft else { throw .truncated(what(), needs: UInt64(size), has: bytesLeft) }
    defer { position += size }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
  }

  /// A 64-bit count of things that take at least `minimumBytes` each.
  mutating func count(of minimumBytes: Int, _ what: @autoclosure () -> String) throws(GGUFError) -> Int {
    let count = try integer(what(), as: UInt64.self)
    guard let small = Int(exactly: count), small <= bytesLeft / minimumBytes else {
      throw .tooMany(what(), count: count, bytesLeft: bytesLeft)
    }
    return small
  }

  /// A 64-bit length and that many bytes of UTF-8.
  mutating func string(_ what: @autoclosure () -> String) throws(GGUFError) -> String {
    let length = try integer(what(), as: UInt64.self)
    guard let count = Int(exactly: length), count <= bytesLeft else {
      throw .truncated(what(), needs: length, has: bytesLeft)
    }
    defer { position += count }
    let utf8 = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    let text = String(decoding: utf8, as: UTF8.self)
    // Decoding repairs what is not UTF-8; then the bytes differ.
    guard text.utf8.elementsEqual(utf8) else { throw .notUTF8(what()) }
    return text
  }

  /// The name of a key or a tensor: a string of 1 to `limit` bytes.
  mutating func name(limit: Int, _ what: @autoclosure () -> String) throws(GGUFError) -> String {
    var ahead = self
    let length = try ahead.integer(what(), as: UInt64.self)
    guard length > 0 else { throw .emptyName(what()) }
    guard length <= limit else { throw .nameTooLong(what(), bytes: length, limit: limit) }
    return try string(what())
  }
}
