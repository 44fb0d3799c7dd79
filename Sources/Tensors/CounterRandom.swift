/// Random numbers as a pure function of keys and a counter: the same on every machine, in any order, on any thread.
///
/// The state is two 64-bit words made from the keys with SplitMix64's finaliser (Steele, Lea & Flood 2014,
/// "Fast splittable pseudorandom number generators"). The second word keeps streams apart whose first words differ by
/// a few steps. Not for cryptography.
public struct CounterRandom: Sendable {
  private let first: UInt64
  private let second: UInt64

  /// A stream of its own for each list of keys; their order counts.
  public init(seed: UInt64, _ keys: UInt64...) {
    var state = Self.mix(seed &+ Self.step)
    for key in keys { state = Self.mix(state ^ Self.mix(key &+ Self.step)) &+ Self.step }
    first = state
    second = Self.mix(~state)
  }

  /// 64 random bits, the `counter`-th of this stream.
  public func bits(_ counter: UInt64) -> UInt64 {
    Self.mix(Self.mix(first &+ counter &* Self.step) ^ second)
  }

  /// Uniform in [0, 1), a multiple of 2⁻⁵³.
  public func uniform(_ counter: UInt64) -> Double { Double(bits(counter) >> 11) * 0x1p-53 }

  /// The bits of counters 0, 1, 2, … one after another, for algorithms that take a generator.
  public var stream: Stream { Stream(random: self) }

  public struct Stream: RandomNumberGenerator, Sendable {
    private let random: CounterRandom
    private var counter: UInt64 = 0

    init(random: CounterRandom) { self.random = random }

    public mutating func next() -> UInt64 {
      defer { counter &+= 1 }
      return random.bits(counter)
    }
  }

  /// A 64-bit key for a text: FNV-1a over its UTF-8.
  public static func key(_ text: String) -> UInt64 {
    text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// 2⁶⁴ divided by the golden ratio, made odd.
  private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
