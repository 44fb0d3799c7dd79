/// Running means in one byte a value, with one float scale a block: the largest magnitude in it.
///
/// A code c stands for a power of c / largest code, so that small values keep their relative precision: first moments, which
/// have a sign, are scale · (c/127)², down to 1/16129 of the block's largest; second moments, which are squares already, are
/// scale · (c/255)⁴, down to 1/(4.2·10⁹). The nearest code would forget every change smaller than half a gap, and those are
/// most: a second moment changes by a thousandth a step. So a value goes to the code below or above it by chance, with the odds
/// that give the value itself in the mean. The chance is a function of step and place: the same run rounds the same way.

import Tensors

final class ByteMoments {
  enum Kind {
    case signed, positive
  }

  /// Four codes to a float, bit for bit, so that a checkpoint can keep them as it keeps floats.
  let codes: Buffer<Float>
  let scales: Buffer<Float>
  private let kind: Kind
  /// What each code means, as a share of the scale, by magnitude.
  private let shares: [Float]

  init(count: Int, blocks: Int, _ kind: Kind) {
    self.kind = kind
    codes = Buffer(count: (count + 3) / 4)
    scales = Buffer(count: blocks)
    shares =
      switch kind {
      case .signed: (0...127).map { Float($0 * $0) / (127 * 127) }
      case .positive: (0...255).map { Float($0 * $0) / (255 * 255) }.map { $0 * $0 }
      }
  }

  private func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(codes.pointer) + range.lowerBound, count: range.count)
  }

  /// The values at places `range`, which are block `block`.
  func load(_ out: UnsafeMutablePointer<Float>, _ range: Range<Int>, block: Int) {
    let (scale, code) = (scales.pointer[block], bytes(range))
    shares.withUnsafeBufferPointer { shares in
      switch kind {
      case .signed:
        for i in 0..<range.count {
          let signed = Int8(bitPattern: code[i])
          let size = scale * shares[Int(signed.magnitude)]
          out[i] = signed < 0 ? -size : size
        }
      case .positive:
        for i in 0..<range.count { out[i] = scale * shares[Int(code[i])] }
      }
    }
  }

  /// Rounds `values` into places `range`. A positive value never becomes 0: AdamW divides by it.
  func store(_ values: UnsafeMutablePointer<Float>, _ range: Range<Int>, block: Int, _ random: CounterRandom) {
    var scale: Float = 0
    for i in 0..<range.count { scale = max(scale, abs(values[i])) }
    scales.pointer[block] = scale
    let code = bytes(range)
    guard scale > 0 else {
      code.initializeMemory(as: UInt8.self, repeating: 0)
      return
    }
    shares.withUnsafeBufferPointer { shares in
      for i in 0..<range.count {
        let share = abs(values[i]) / scale
        let place = UInt64(range.lowerBound + i)
        switch kind {
        case .signed:
          let size = Self.round(share, root: share.squareRoot(), shares, random, place)
          code[i] = UInt8(bitPattern: values[i] < 0 ? -Int8(size) : Int8(size))
        case .positive:
          let size = Self.round(share, root: share.squareRoot().squareRoot(), shares, random, place)
          code[i] = UInt8(values[i] > 0 ? max(size, 1) : 0)
        }
      }
    }
  }

  /// The code below or above `share`, whose root lies between them evenly.
  @inline(__always)
  private static func round(
    _ share: Float, root: Float, _ shares: UnsafeBufferPointer<Float>, _ random: CounterRandom, _ place: UInt64
  ) -> Int {
    let below = min(Int(root * Float(shares.count - 1)), shares.count - 2)
    let odds = (share - shares[below]) / (shares[below + 1] - shares[below])
    return below + (random.uniform(place) < Double(odds) ? 1 : 0)
  }
}
