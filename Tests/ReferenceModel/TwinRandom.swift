/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers for the same seed, everywhere.

public struct TwinRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in `-1..<1`, a multiple of 2⁻²³, so that Float holds it exactly.
  public mutating func uniform() -> Double { Double(next() >> 40) * 0x1p-23 - 1 }

  /// Uniform in ±`bound`.
  public mutating func tensor(_ rows: Int, _ columns: Int, bound: Double) -> TwinTensor {
    TwinTensor(rows: rows, columns: columns, values: (0..<rows * columns).map { _ in bound * uniform() })
  }
}
