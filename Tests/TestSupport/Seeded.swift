import Foundation
import Tensors

/// Random test data that is the same in every run.
public struct Seeded: Sendable {
  private let stream: CounterRandom

  public init(_ seed: UInt64) { stream = CounterRandom(seed: seed) }

  /// A sequence of its own for a name.
  public init(_ seed: UInt64, _ name: String) { stream = CounterRandom(seed: seed, CounterRandom.key(name)) }

  /// Uniform in [-1, 1).
  public func floats(_ count: Int) -> [Float] {
    (0..<count).map { Float(2 * stream.uniform(UInt64($0)) - 1) }
  }

  /// Normal with mean 0 (Box and Muller's transform).
  public func normals(_ count: Int, deviation: Float = 1) -> [Float] {
    (0..<count).map { index in
      let radius = (-2 * log(1 - stream.uniform(UInt64(2 * index)))).squareRoot()
      return deviation * Float(radius * cos(2 * .pi * stream.uniform(UInt64(2 * index + 1))))
    }
  }

  public func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: stream.bits(UInt64($0))) }
  }

  /// Each in `0..<bound`.
  public func integers(_ count: Int, below bound: Int) -> [Int] {
    (0..<count).map { Int(stream.bits(UInt64($0)) % UInt64(bound)) }
  }
}
