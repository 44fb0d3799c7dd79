/// How many threads this process should compute on: a core each, no more than it may use.

import Foundation

public enum ThreadCount {
  /// Physical cores this process may run on, within the time its control group grants. At least 1.
  ///
  /// Two threads on one core share its arithmetic and slow each other's caches, so logical processors do not count.
  public static var automatic: Int {
    let allowed = ProcessInfo.processInfo.activeProcessorCount
    let cores = ControlGroup.contents("/proc/cpuinfo").flatMap(physicalCores(cpuinfo:)) ?? allowed
    return max(1, min(allowed, cores, Int(smallestQuota ?? Double(allowed))))
  }

  /// Distinct pairs of `physical id` and `core id` in /proc/cpuinfo; nil where it does not name cores.
  public static func physicalCores(cpuinfo: String) -> Int? {
    var package = ""
    var cores: Set<String> = []
    for line in cpuinfo.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2 else { continue }
      if parts[0] == "physical id" { package = parts[1] }
      if parts[0] == "core id" { cores.insert("\(package)/\(parts[1])") }
    }
    return cores.isEmpty ? nil : cores.count
  }

  /// Processors' worth of time in a `cpu.max` file, `max 100000` or `150000 100000`; nil without a limit.
  public static func quota(cpuMax: String) -> Double? {
    let numbers = cpuMax.split(whereSeparator: \.isWhitespace).map { Double($0) }
    guard numbers.count == 2, let time = numbers[0], let period = numbers[1], time > 0, period > 0 else { return nil }
    return time / period
  }

  /// Version 1 of control groups has one file for each number.
  private static var smallestQuota: Double? {
    var quotas = ControlGroup.contents(of: "cpu.max").map(quota(cpuMax:))
    let first = "/sys/fs/cgroup/cpu/cpu.cfs_"
    if let time = ControlGroup.contents(first + "quota_us"), let period = ControlGroup.contents(first + "period_us") {
      quotas.append(quota(cpuMax: time + " " + period))
    }
    return quotas.compactMap { $0 }.min()
  }
}
