/// Distributions over a text, saved to compare other models, formats or adapters with. The file is little-endian:
///
///     bytes    8  "PARLEYLP"
///     u32      4  1, the version of this layout
///     u32      4  V, tokens of the vocabulary
///     u32      4  tokens of a window
///     u32      4  stride
///     u64      8  T, rows
///     bytes   32  SHA-256 of the text's token ids, each as u32
///     bytes   32  SHA-256 of the vocabulary: for each token its length as u32, then its bytes
///     f32  4·T·V  natural log-probs, row by row: all tokens for the text's second place, then for its third, …

import Crypto
import Foundation
import Llama
import Tensors
import Tokenization

/// What a file of reference log-probs must match.
public struct ReferenceHeader: Equatable, Sendable {
  static let bytes = 96
  private static let magic = Array("PARLEYLP".utf8)
  private static let version: UInt32 = 1

  let vocabularySize: Int
  let windows: TextWindows
  let rows: Int
  let textDigest: [UInt8]
  let vocabularyDigest: [UInt8]
  var fileBytes: Int { Self.bytes + 4 * rows * vocabularySize }

  public init(_ ids: [TokenID], _ model: LlamaModel, _ tokenizer: Tokenizer, windows: TextWindows) {
    vocabularySize = model.vocabularySize
    self.windows = windows
    rows = max(0, ids.count - 1)
    var text = SHA256()
    text.update(data: ids.flatMap(Self.little))
    textDigest = Array(text.finalize())
    var vocabulary = SHA256()
    for id in 0..<TokenID(clamping: tokenizer.vocabularySize) {
      let bytes = tokenizer.bytes(of: id)
      vocabulary.update(data: Self.little(UInt32(clamping: bytes.count)) + bytes)
    }
    vocabularyDigest = Array(vocabulary.finalize())
  }

  var encoded: [UInt8] {
    let numbers = [Self.version] + [vocabularySize, windows.context, windows.stride].map { UInt32(clamping: $0) }
    return Self.magic + numbers.flatMap(Self.little) + Self.little(UInt64(rows)) + textDigest + vocabularyDigest
  }

  /// - Throws: `PerplexityError` that says in what `found`, the first bytes of a file, is another's header.
  func check(_ found: [UInt8], path: String) throws(PerplexityError) {
    guard found.count == Self.bytes, found[..<12] == encoded[..<12] else { throw .notAReference(path) }
    func number(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(found[offset + $1]) << (8 * $1) } }
    guard found[12..<16] == encoded[12..<16], found[64...] == encoded[64...] else { throw .otherVocabulary(path) }
    guard found[24..<64] == encoded[24..<64] else { throw .otherText(path) }
    guard found[16..<24] == encoded[16..<24] else {
      throw .otherWindows(path, context: number(16), stride: number(20))
    }
  }

  private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}

/// Writes the file row by row; it appears when it is whole.
public final class ReferenceWriter {
  private let part: PartFile

  public init(_ path: String, _ header: ReferenceHeader) throws(FileError) {
    part = try PartFile(replacing: path)
    try part.write(header.encoded)
  }

  func write(_ row: UnsafeBufferPointer<Float>) throws(FileError) { try part.write(UnsafeRawBufferPointer(row)) }

  /// Puts the file in its place.
  public func commit() throws(FileError) { try part.commit() }
}

/// Reads it row by row.
public final class ReferenceReader {
  private let path: String
  private let handle: FileHandle
  private let header: ReferenceHeader

  /// - Throws: `FileError`; `PerplexityError` when the file is damaged or was made from something else than `header` says.
  public init(_ path: String, _ header: ReferenceHeader) throws {
    guard let size = FileSystem.size(path), let handle = FileHandle(forReadingAtPath: path) else {
      throw FileError.notFound(path)
    }
    (self.path, self.handle, self.header) = (path, handle, header)
    try header.check(Array(read(ReferenceHeader.bytes)), path: path)
    guard size == header.fileBytes else {
      throw PerplexityError.incomplete(path, needs: header.fileBytes, has: size)
    }
  }

  func next(into row: Buffer<Float>) throws {
    let data = try read(4 * row.count)
    guard data.count == 4 * row.count else {
      throw PerplexityError.incomplete(path, needs: header.fileBytes, has: FileSystem.size(path) ?? 0)
    }
    data.copyBytes(to: UnsafeMutableRawBufferPointer(start: row.pointer, count: data.count))
  }

  private func read(_ count: Int) throws -> Data {
    do {
      return try handle.read(upToCount: count) ?? Data()
    } catch {
      throw FileError.refused(action: "read", path: path, code: EIO)
    }
  }
}
