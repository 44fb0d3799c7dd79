#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A whole file as read-only memory. Whoever holds this object holds the mapping; the last one to let go unmaps it.
///
/// The file must not be shortened meanwhile: the system ends a process that touches a page which is gone.
public final class MappedFile: @unchecked Sendable {
  public let bytes: UnsafeRawBufferPointer

  /// - Throws: `FileError` when there is no such regular file or it cannot be read.
  public init(_ path: String) throws(FileError) {
    // Non-blocking, so that a pipe of that name cannot hold us up.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw errno == ENOENT || errno == ENOTDIR ? .notFound(path) : .refused(action: "read", path: path, code: errno)
    }
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw .refused(action: "read", path: path, code: errno) }
    guard facts.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path) }
    let size = Int(facts.st_size)
    guard size > 0 else {  // nothing to map
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw .refused(action: "read", path: path, code: errno)
    }
    bytes = UnsafeRawBufferPointer(start: base, count: size)
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }

  /// Asks the system to start reading everything from `offset` on; returns at once.
  public func prefetch(from offset: Int) {
    let page = Int(getpagesize())
    let start = offset / page * page
    guard let base = bytes.baseAddress, start < bytes.count else { return }
    madvise(UnsafeMutableRawPointer(mutating: base + start), bytes.count - start, MADV_WILLNEED)
  }
}
