/// The most memory this process has held, pages of mapped files included.

import Foundation

enum PeakMemory {
  /// Counts anew from what is held now. Linux can; elsewhere the peak stays that of the whole process.
  static func reset() {
    try? FileHandle(forWritingTo: URL(fileURLWithPath: "/proc/self/clear_refs")).write(contentsOf: Data("5".utf8))
  }

  static var mebibytes: Double {
    var usage = rusage()
    #if canImport(Darwin)
      let unit = 1024.0 * 1024  // bytes
      getrusage(RUSAGE_SELF, &usage)
    #else
      let unit = 1024.0  // KiB
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #endif
    return Double(usage.ru_maxrss) / unit
  }
}
