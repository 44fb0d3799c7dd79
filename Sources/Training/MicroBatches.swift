/// Which pairs of a batch share a pass.
///
/// A function of the data and the settings alone: gradients of a pass are sums, whose rounding depends on what is summed
/// together, so a memory budget or a resumed run must not change it.
public struct MicroBatches: Equatable, Sendable {
  /// Rows wished for when nothing else is: enough that expanding the weights costs little of a pass.
  public static let defaultTokens = 1024

  /// Most rows of one pass.
  public let limit: Int

  /// - Parameters:
  ///   - tokens: rows wished for a pass; a pair that has more goes alone.
  ///   - longest: rows of the longest pair.
  public init(tokens: Int, longest: Int) { limit = max(tokens, longest) }

  /// Neighbours that go together, whole pairs in the order given, as many as the limit takes.
  ///
  /// - Parameter rows: rows of each pair of the batch.
  public func ranges(_ rows: [Int]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var (first, sum) = (0, 0)
    for (i, count) in rows.enumerated() {
      if i > first && sum + count > limit {
        ranges.append(first..<i)
        (first, sum) = (i, 0)
      }
      sum += count
    }
    return first < rows.count ? ranges + [first..<rows.count] : ranges
  }
}
