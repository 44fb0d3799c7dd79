#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What the operating system refused. `code` is its errno.
public enum FileError: Error, Equatable, Sendable, CustomStringConvertible {
  case notFound(String)
  case notReadable(String, code: Int32)
  case notAFile(String)
  case notWritten(String, code: Int32)

  public var description: String {
    switch self {
    case .notFound(let path): "There is no file '\(path)': check the path."
    case .notReadable(let path, let code): "Could not read '\(path)' (\(reason(code))): check its permissions."
    case .notAFile(let path): "'\(path)' is not a regular file: name the file itself."
    case .notWritten(let path, let code):
      "Could not write '\(path)' (\(reason(code))), what was there before is unchanged: check the folder and the free space."
    }
  }

  private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
