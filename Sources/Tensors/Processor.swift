/// The processor's name, for reports.

#if canImport(Darwin)
  import Darwin
#endif

public enum Processor {
  /// As the system gives it, "AMD EPYC 9B14" for example; nil where it does not.
  public static var name: String? {
    #if canImport(Darwin)
      var bytes = [UInt8](repeating: 0, count: 256)
      var count = bytes.count
      guard sysctlbyname("machdep.cpu.brand_string", &bytes, &count, nil, 0) == 0 else { return nil }
      return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    #else
      return ControlGroup.contents("/proc/cpuinfo").flatMap(name(cpuinfo:))
    #endif
  }

  /// The first `model name` in /proc/cpuinfo.
  public static func name(cpuinfo: String) -> String? {
    for line in cpuinfo.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[0].hasPrefix("model name") else { continue }
      let name = parts[1].drop { $0 == " " }
      return name.isEmpty ? nil : String(name)
    }
    return nil
  }
}
