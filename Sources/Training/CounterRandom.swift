/// Randomness that is a function of a key and a counter: the same key gives the same numbers, in any order of work.

/// SplitMix64 (Steele, Lea & Flood 2014): the counter times an odd constant, then a bit mixer.
public struct CounterRandom: RandomNumberGenerator, Sendable {
  private let key: UInt64
  private var counter: UInt64 = 0

  /// - Parameter parts: what the numbers belong to, for instance a seed, a prompt and a sample. Their order counts.
  public init(_ parts: UInt64...) {
    key = parts.reduce(0) { Self.mixed($0 ^ Self.mixed($1 &+ Self.golden)) }
  }

  public mutating func next() -> UInt64 {
    counter &+= 1
    return Self.mixed(key &+ counter &* Self.golden)
  }

  private static let golden: UInt64 = 0x9E37_79B9_7F4A_7C15

  private static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
