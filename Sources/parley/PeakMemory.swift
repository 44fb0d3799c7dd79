/// What this process holds in memory.

import Foundation

/// The most it has held, pages of mapped files included.
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

/// What it holds now.
enum ResidentMemory {
  /// Bytes, pages of mapped files included; 0 where the system does not tell.
  static var bytes: Int {
    // All pages of its address space, then those in memory.
    let counts = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
    guard let counts, counts.count > 1, let resident = Int(counts[1]) else { return 0 }
    return resident * Int(getpagesize())
  }
}
