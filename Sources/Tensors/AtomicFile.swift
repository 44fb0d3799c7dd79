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
public enum FileError: Error, Equatable, CustomStringConvertible {
  case notFound(String)
  case refused(action: String, path: String, code: Int32)

  public var description: String {
    switch self {
    case .notFound(let path): "There is no file '\(path)'. Check the path."
    case .refused(let action, let path, let code):
      "Could not \(action) '\(path)': \(String(cString: strerror(code))). "
        + "Check the permissions and the free space of its folder."
    }
  }

  static func now(_ action: String, _ path: String) -> FileError {
    errno == ENOENT && action == "open" ? .notFound(path) : .refused(action: action, path: path, code: errno)
  }
}

public enum AtomicFile {
  /// Replaces `path` by `bytes`. After a crash at any instant it holds either the old content or the new.
  public static func write(_ bytes: some Collection<UInt8>, to path: String) throws(FileError) {
    try write(to: path) { sink throws(FileError) in
      let result = bytes.withContiguousStorageIfAvailable { span in
        Result { () throws(FileError) in try sink.write(UnsafeRawBufferPointer(span)) }
      }
      if let result {
        try result.get()
      } else {
        try sink.write(Array(bytes))
      }
    }
  }

  /// The same for content that is never whole in memory. `body` writes it in order; when it throws, `path` stays as it was.
  public static func write(
    to path: String, _ body: (borrowing Sink) throws(FileError) -> Void
  ) throws(FileError) {
    let part = path + ".part"
    let descriptor = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .refused(action: "create", path: part, code: errno) }
    do throws(FileError) {
      try body(Sink(descriptor: descriptor, path: part))
      guard fsync(descriptor) == 0 else { throw .now("sync", part) }
    } catch {
      close(descriptor)
      unlink(part)
      throw error
    }
    guard close(descriptor) == 0 else { throw .now("close", part) }
    guard rename(part, path) == 0 else { throw .now("replace", path) }
    try syncFolder(of: path)
  }

  /// The whole content of a file.
  public static func read(_ path: String) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .now("open", path) }
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw .now("read", path) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(facts.st_size))
    var chunk = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let got = systemRead(descriptor, &chunk, chunk.count)
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw .now("read", path) }
      if got == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<got])
    }
  }

  /// Makes a rename in the folder of `path` survive a power cut.
  private static func syncFolder(of path: String) throws(FileError) {
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .now("open", folder) }
    defer { close(descriptor) }
    // Some file systems cannot sync a folder and say EINVAL; then there is nothing more to do.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw .now("sync", folder) }
  }

  /// Where the body of `write(to:)` puts its bytes.
  public struct Sink: ~Copyable {
    let descriptor: Int32
    let path: String

    public borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
      var rest = bytes
      while !rest.isEmpty {
        let put = systemWrite(descriptor, rest.baseAddress, rest.count)
        if put < 0 && errno == EINTR { continue }
        guard put >= 0 else { throw .now("write", path) }
        rest = UnsafeRawBufferPointer(rebasing: rest[put...])
      }
    }

    public borrowing func write(_ bytes: [UInt8]) throws(FileError) {
      let result = bytes.withUnsafeBytes { span in Result { () throws(FileError) in try write(span) } }
      try result.get()
    }
  }
}

// Inside the types above `read` and `write` are methods; these are the system's.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
  read(descriptor, bytes, count)
}
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
