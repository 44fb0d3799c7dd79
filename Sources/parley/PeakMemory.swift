/// What this process holds in memory.

import Foundation

/// The most it has held, pages of mapped files included.
enum PeakMemory {
  /// Counts anew from what is held now. Linux can; elsewhere the peak stays that of the whole process.
  static func reset() {
    try? FileHandle(forWritingTo: URL(fileURLWithPath: "/proc/self/clear_refs")).write(contentsOf: Data("5".utf8))
  }

  /// Linux' `getrusage` would not do: its peak outlives `exec`, so a program started by a large one reports the large one's.
  static var mebibytes: Double {
    #if canImport(Darwin)
      var usage = rusage()
      getrusage(RUSAGE_SELF, &usage)
      return Double(usage.ru_maxrss) / (1024 * 1024)
    #else
      // "VmHWM:     13516 kB", of this address space alone.
      let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
      let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
      let words = line?.split { " \t".contains($0) } ?? []
      return words.count > 1 ? (Double(words[1]) ?? 0) / 1024 : 0
    #endif
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
