import Foundation

/// One of several whole answers, drawn in proportion to exp(log-probability / temperature); at 0 the most probable, the first of
/// equals.
public struct ChoiceDraw {
  /// Of each answer among them all, in nats.
  public let logProbs: [Double]

  /// - Parameter logps: log-probability of each answer, in nats. At least one, all finite.
  public init(logps: [Double], temperature: Double) {
    let best = logps.max() ?? 0
    if temperature == 0 {
      let first = logps.firstIndex(of: best)
      logProbs = logps.indices.map { $0 == first ? 0 : -.infinity }
    } else {
      let scaled = logps.map { ($0 - best) / temperature }
      let logSum = log(scaled.reduce(0) { $0 + exp($1) })
      logProbs = scaled.map { $0 - logSum }
    }
  }

  /// The answers' places, the most probable first; of equals, the first.
  public var ranking: [Int] { logProbs.indices.sorted { (logProbs[$0], $1) > (logProbs[$1], $0) } }

  /// - Parameter uniform: in [0, 1); the draw is the inverse of the cumulative distribution in the order given.
  public func draw(_ uniform: Double) -> Int {
    var sum = 0.0
    var chosen = 0
    for (place, logProb) in logProbs.enumerated() where logProb > -.infinity {
      sum += exp(logProb)
      chosen = place
      if sum > uniform { break }
    }
    return chosen
  }
}
