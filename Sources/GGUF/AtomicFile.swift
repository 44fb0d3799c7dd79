#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Writes files whole or not at all: into `PATH.part` beside the target, synchronised, then renamed over it.
///
/// After an error, or after the process was killed, the old file is as it was. An error leaves no `.part` behind.
public enum AtomicFile {
  public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    try write(chunks: CollectionOfOne(bytes), to: path)
  }

  public static func write(_ text: String, to path: String) throws(FileError) {
    try write(Array(text.utf8), to: path)
  }

  /// One chunk after another, so that a lazy sequence never has the whole file in memory.
  public static func write(chunks: some Sequence<[UInt8]>, to path: String) throws(FileError) {
    let part = try PartFile(replacing: path)
    for chunk in chunks { try part.write(chunk) }
    try part.commit()
  }
}

/// The `.part` file while it is being written. It is removed when this object goes away before `commit`.
final class PartFile {
  let target: String
  let path: String
  private let descriptor: Int32
  private var isCommitted = false

  init(replacing target: String) throws(FileError) {
    self.target = target
    path = target + ".part"
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .notWritten(target, code: errno) }
  }

  deinit {
    close(descriptor)
    if !isCommitted { unlink(path) }
  }

  func write(_ bytes: [UInt8]) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { systemWrite(descriptor, $0) }
      guard count >= 0 || errno == EINTR else { throw .notWritten(target, code: errno) }
      done += max(count, 0)
    }
  }

  /// Returns when the bytes are on the disk.
  func synchronize() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .notWritten(target, code: errno) }
  }

  /// Puts the file in its place, and makes the new name as durable as the bytes.
  func commit() throws(FileError) {
    try synchronize()
    guard rename(path, target) == 0 else { throw .notWritten(target, code: errno) }
    isCommitted = true
    let folder = open(folderPath(of: target), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw .notWritten(target, code: errno) }
    defer { close(folder) }
    // Some file systems cannot synchronise a folder and say EINVAL; they have nothing more to offer.
    guard fsync(folder) == 0 || errno == EINVAL else { throw .notWritten(target, code: errno) }
  }
}

private func folderPath(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The system's `write`, which `PartFile.write` hides.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, bytes.count)
}
