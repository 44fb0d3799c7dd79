/// Responses kept one by one as they are made. A killed program leaves whole lines and at most one that is torn, which the
/// next one drops.

import Foundation
import Tensors
import Tokenization

public final class RecordJournal {
  /// Records that were there already.
  public let kept: Int
  private let file: AppendFile

  /// - Parameter belongs: whether a record found at a place is one of this work; the first that is not ends what is kept. When
  ///   this throws, the file stays as it is.
  public init(_ path: String, belongs: (Int, ResponseRecord) throws -> Bool) throws {
    let bytes = FileSystem.exists(path) ? try AtomicFile.read(path) : []
    var (whole, kept) = (0, 0)
    while let end = bytes[whole...].firstIndex(of: UInt8(ascii: "\n")),
      let record = try? JSONLines.decode(ResponseRecord.self, from: Data(bytes[whole..<end])),
      try belongs(kept, record)
    {
      (whole, kept) = (end + 1, kept + 1)
    }
    self.kept = kept
    file = try AppendFile(path, position: whole)
  }

  public func append(_ record: ResponseRecord) throws { try file.append(JSONLines.line(record)) }

  /// Returns when the records are on the disk.
  public func synchronize() throws(FileError) { try file.synchronize() }

  public func finish(as path: String) throws(FileError) { try file.rename(to: path) }
}
