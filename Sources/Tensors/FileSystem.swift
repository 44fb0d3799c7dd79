/// Folders made, files removed, and a file that only grows. `errno` is read right after the call that set it.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

public enum FileSystem {
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Bytes of a file; nil when there is none.
  public static func size(_ path: String) -> Int? {
    var facts = stat()
    return stat(path, &facts) == 0 ? Int(facts.st_size) : nil
  }

  /// Makes the folder and its parents; one that exists is fine.
  public static func createFolder(_ path: String) throws(FileError) {
    if mkdir(path, 0o777) == 0 { return }
    var code = errno
    let parent = folderPath(of: path)
    if code == ENOENT, !exists(parent), parent != path {
      try createFolder(parent)
      if mkdir(path, 0o777) == 0 { return }
      code = errno
    }
    guard code == EEXIST, isFolder(path) else { throw .refused(action: "create", path: path, code: code) }
  }

  /// Removes a file; one that is not there is fine.
  public static func remove(_ path: String) throws(FileError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw .now("remove", path) }
  }

  /// The names in a folder, in no order; none when there is no such folder.
  public static func names(in folder: String) throws(FileError) -> [String] {
    guard let stream = opendir(folder) else {
      if errno == ENOENT { return [] }
      throw .now("list", folder)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  public static func isFolder(_ path: String) -> Bool {
    var facts = stat()
    return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
  }
}

/// A file that is only appended to. What a killed program leaves is a beginning of what was appended.
public final class AppendFile {
  public let path: String
  /// Bytes in the file.
  public private(set) var position: Int
  private let descriptor: Int32

  /// Opens `path` and cuts it back to `position`; at 0 it is made when it is not there.
  public init(_ path: String, position: Int = 0) throws(FileError) {
    self.path = path
    self.position = position
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | (position == 0 ? O_CREAT : 0), 0o666)
    guard descriptor >= 0 else { throw errno == ENOENT && position > 0 ? .notFound(path) : .now("open", path) }
    guard ftruncate(descriptor, off_t(position)) == 0 else { throw .now("truncate", path) }
  }

  deinit { close(descriptor) }

  public func append(_ bytes: some Collection<UInt8>) throws(FileError) {
    let bytes = Array(bytes)
    var done = 0
    while done < bytes.count {
      let put = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done) }
      if put < 0 && errno == EINTR { continue }
      guard put >= 0 else { throw .now("write", path) }
      done += put
    }
    position += done
  }

  /// Gives the file its final name, replacing what has it.
  public func rename(to target: String) throws(FileError) {
    try synchronize()
    guard systemRename(path, target) == 0 else { throw .now("replace", target) }
  }

  /// Returns when the bytes are on the disk.
  public func synchronize() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .now("write", path) }
  }
}
