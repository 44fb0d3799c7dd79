/// SHA-256 of what a run was made from, as lower-case hexadecimal.

import Crypto
import Foundation
import Tensors

public enum Fingerprint {
  public static func of(_ bytes: some Collection<UInt8>) -> String {
    var hash = SHA256()
    hash.update(data: Data(bytes))
    return hexadecimal(hash.finalize())
  }

  /// Of a file of any size, a piece at a time.
  public static func of(file path: String) throws(FileError) -> String { try of(files: [path]) }

  /// Of files as if each followed the one before it: the parts of a split model.
  public static func of(files paths: [String]) throws(FileError) -> String {
    var hash = SHA256()
    for path in paths { try AtomicFile.read(path) { hash.update(bufferPointer: $0) } }
    return hexadecimal(hash.finalize())
  }

  private static func hexadecimal(_ digest: SHA256.Digest) -> String {
    digest.map { byte in
      let text = String(byte, radix: 16)
      return byte < 16 ? "0" + text : text
    }.joined()
  }
}
