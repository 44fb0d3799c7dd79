/// Files written whole or not at all: PATH.part in the same folder, synced, renamed, folder synced.
/// Knows nothing of what is written.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What the operating system refused. `code` is `errno`.
public enum FileError: Error, Equatable, Sendable, CustomStringConvertible {
  case notFound(String)
  case notAFile(String)
  case refused(action: String, path: String, code: Int32)

  public var description: String {
    switch self {
    case .notFound(let path): "There is no file '\(path)': check the path."
    case .notAFile(let path): "'\(path)' is not a regular file: name the file itself."
    case .refused(let action, let path, let code):
      "Could not \(action) '\(path)' (\(String(cString: strerror(code)))): check the permissions and the free space of its "
        + "folder. What was there before is unchanged."
    }
  }

  static func now(_ action: String, _ path: String) -> FileError {
    .refused(action: action, path: path, code: errno)
  }
}

public enum AtomicFile {
  /// Replaces `path` by `bytes`. After a crash at any instant it holds either the old content or the new.
  public static func write(_ bytes: some Collection<UInt8>, to path: String) throws(FileError) {
    try write(to: path) { part throws(FileError) in try part.write(Array(bytes)) }
  }

  public static func write(_ text: String, to path: String) throws(FileError) {
    try write(text.utf8, to: path)
  }

  /// The same for content that is never whole in memory. `body` writes it in order; when it throws, `path` stays as it was.
  public static func write(to path: String, _ body: (PartFile) throws(FileError) -> Void) throws(FileError) {
    let part = try PartFile(replacing: path)
    try body(part)
    try part.commit()
  }

  /// The whole content of a file.
  public static func read(_ path: String) throws(FileError) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(FileSystem.size(path) ?? 0)
    try read(path) { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// The content of a file in order, a piece of at most a mebibyte at a time.
  public static func read(_ path: String, onPiece: (UnsafeRawBufferPointer) -> Void) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw errno == ENOENT || errno == ENOTDIR ? .notFound(path) : .now("read", path) }
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw .now("read", path) }
    guard facts.st_mode & S_IFMT != S_IFDIR else { throw .notAFile(path) }
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let got = systemRead(descriptor, &piece, piece.count)
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw .now("read", path) }
      if got == 0 { return }
      piece.withUnsafeBytes { onPiece(UnsafeRawBufferPointer(rebasing: $0[..<got])) }
    }
  }
}

/// The `.part` file while it is being written. It is removed when this object goes away before `commit` or `keep`.
public final class PartFile {
  public let target: String
  public let path: String
  private let descriptor: Int32
  private var isKept = false

  public init(replacing target: String) throws(FileError) {
    self.target = target
    path = target + ".part"
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .now("write", target) }
  }

  deinit {
    close(descriptor)
    if !isKept { unlink(path) }
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var rest = bytes
    while !rest.isEmpty {
      let put = systemWrite(descriptor, rest.baseAddress, rest.count)
      if put < 0 && errno == EINTR { continue }
      guard put >= 0 else { throw .now("write", target) }
      rest = UnsafeRawBufferPointer(rebasing: rest[put...])
    }
  }

  public func write(_ bytes: [UInt8]) throws(FileError) {
    let result = bytes.withUnsafeBytes { span in Result { () throws(FileError) in try write(span) } }
    try result.get()
  }

  /// Returns when the bytes are on the disk.
  public func synchronize() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .now("write", target) }
  }

  /// Leaves the bytes written so far under `path`, for work that was stopped before its end.
  public func keep() throws(FileError) {
    try synchronize()
    isKept = true
  }

  /// Puts the file in its place, and makes the new name as durable as the bytes.
  public func commit() throws(FileError) {
    try synchronize()
    guard rename(path, target) == 0 else { throw .now("replace", target) }
    isKept = true
    let folder = open(folderPath(of: target), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw .now("replace", target) }
    defer { close(folder) }
    // Some file systems cannot sync a folder and say EINVAL; they have nothing more to offer.
    guard fsync(folder) == 0 || errno == EINVAL else { throw .now("replace", target) }
  }
}

/// Of `a/b` it is `a`, of `b` it is `.`.
public func folderPath(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

// Inside the types `read`, `write` and `rename` are methods; these are the system's.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
  read(descriptor, bytes, count)
}
func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
func systemRename(_ old: String, _ new: String) -> Int32 { rename(old, new) }
