/// Progress on stderr: a bar with rate and time left on a terminal, a line every ten seconds elsewhere.

import Foundation
import Training

final class Progress {
  private let label: String
  private let total: Int
  private let isOn: Bool
  private let isTerminal = isatty(STDERR_FILENO) != 0
  private var start = ContinuousClock.now
  private var lastShown = ContinuousClock.now
  private var hasBar = false
  /// Steps that were done before `start`, for the time left.
  private var before = 0
  private var done = 0
  private var tokens = 0
  /// Shown behind the count, "loss 0.5".
  var detail: String?

  /// - Parameters:
  ///   - label: what is being done, "Sampling".
  ///   - total: steps of the whole work.
  init(_ label: String, total: Int, quiet: Bool) {
    self.label = label
    self.total = total
    isOn = !quiet
  }

  deinit { clear() }

  /// Goes on where earlier work ended.
  func resume(at done: Int) {
    (self.done, before, start) = (done, done, .now)
  }

  /// - Parameters:
  ///   - steps: steps done since the last call.
  ///   - tokens: tokens worked on since the last call, for the rate.
  func advance(_ steps: Int = 0, tokens: Int = 0) {
    done += steps
    self.tokens += tokens
    let now = ContinuousClock.now
    guard isOn, now - lastShown >= (isTerminal ? .milliseconds(100) : .seconds(10)) else { return }
    lastShown = now
    let elapsed = (now - start) / .seconds(1)
    write(isTerminal ? "\r\u{1B}[K" + bar + status(elapsed) : label + " " + status(elapsed) + "\n")
    hasBar = isTerminal
  }

  /// A line above the bar.
  func say(_ line: String) {
    guard isOn else { return }
    clear()
    note(line)
  }

  private func clear() {
    if hasBar { write("\r\u{1B}[K") }
    hasBar = false
  }

  private var bar: String {
    let width = 24
    let filled = total > 0 ? min(width, width * done / total) : 0
    return label + " [" + String(repeating: "#", count: filled) + String(repeating: "·", count: width - filled) + "] "
  }

  private func status(_ elapsed: Double) -> String {
    var parts = ["\(done)/\(total)"]
    if let detail { parts.append(detail) }
    if tokens > 0 { parts.append(String(format: "%.1f tokens/s", Double(tokens) / elapsed)) }
    if done > before {
      parts.append(Self.clock(elapsed / Double(done - before) * Double(total - done)) + " left")
    }
    return parts.joined(separator: "  ")
  }

  /// `1:05` or `2:01:05`.
  static func clock(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, rest) : String(format: "%d:%02d", minutes, rest)
  }

  private func write(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }
}

/// What is said of training while it goes on.
extension MetricsRecord {
  var summary: String {
    let rewards =
      rewardMargins.flatMap { margin in
        rewardAccuracies.map { String(format: "  margin %.4g  accuracy %.2f", margin, $0) }
      } ?? ""
    return String(format: "loss %.4g", loss) + rewards
  }
}

extension EvaluationRecord {
  func summary(isBest: Bool) -> String {
    let rewards =
      rewardMargins.flatMap { margin in
        rewardAccuracies.map { String(format: ", margin %.4g, accuracy %.2f", margin, $0) }
      } ?? ""
    return String(format: "Held-out pairs after step %d: loss %.4g", step, loss) + rewards
      + (isBest ? ", the best so far" : "")
  }
}
