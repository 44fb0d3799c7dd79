/// How much memory this process may fill.

import Foundation

public enum MemoryLimit {
  /// Bytes: the machine's memory, or what its control groups grant when that is less.
  public static var automatic: Int {
    let limits =
      ControlGroup.contents(of: "memory.max")
      + [ControlGroup.contents("/sys/fs/cgroup/memory/memory.limit_in_bytes")].compactMap { $0 }
    let machine = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    return limits.compactMap(limit(memoryMax:)).reduce(machine, min)
  }

  /// Bytes in a `memory.max` file, `max` or a number; nil without a limit.
  public static func limit(memoryMax: String) -> Int? {
    Int(memoryMax.trimmingCharacters(in: .whitespacesAndNewlines)).flatMap { $0 > 0 ? $0 : nil }
  }
}
