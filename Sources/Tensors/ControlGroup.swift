/// What the control groups of this process say. Each group above it can set a limit too.

enum ControlGroup {
  /// The file `name` of this process's group and of each one above it, where there is one.
  static func contents(of name: String) -> [String] {
    var found: [String?] = []
    let line = contents("/proc/self/cgroup")?.split(separator: "\n").first { $0.hasPrefix("0::") }
    var path = line.map { String($0.dropFirst(3)) } ?? "/"
    while true {
      found.append(contents("/sys/fs/cgroup\(path)/\(name)"))
      guard let slash = path.lastIndex(of: "/"), path.count > 1 else { break }
      path = slash == path.startIndex ? "/" : String(path[..<slash])
    }
    return found.compactMap { $0 }
  }

  static func contents(_ path: String) -> String? {
    (try? AtomicFile.read(path)).map { String(decoding: $0, as: UTF8.self) }
  }
}
