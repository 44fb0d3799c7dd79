import Foundation

extension Date {
  /// `strftime` of the C library in this machine's time zone, for `strftime_now`; empty when the result would pass
  /// 1,000 bytes. The date is an argument of every rendering, so that a run can keep its day and tests choose one.
  func formatted(strftime format: String) -> String {
    var seconds = time_t(exactly: timeIntervalSince1970.rounded(.down)) ?? 0
    var fields = tm()
    localtime_r(&seconds, &fields)
    var buffer = [CChar](repeating: 0, count: 1001)
    let count = strftime(&buffer, buffer.count, format, &fields)
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
