import Foundation
import Tensors

/// The rotary embedding's frequencies: pair `i` of a head turns by `position · base^(−2i/E) / divisor[i]`. The divisors are
/// Llama 3.1's `rope_freqs.weight`. Su et al. 2021, arXiv 2104.09864; pairs are neighbours (2i, 2i+1), as GGUF orders
/// them for `llama`.
struct RotaryFrequencies {
  private let frequencies: [Double]

  init(_ config: LlamaConfig, divisors: Buffer<Float>?) throws {
    frequencies = try (0..<config.headDim / 2).map { i in
      let divisor = divisors.map { Double($0[i]) } ?? 1
      guard divisor.isFinite, divisor > 0 else {
        throw LlamaError.inconsistent("\(TensorName.ropeFreqs)[\(i)] is \(divisor), not a positive number")
      }
      return pow(Double(config.ropeBase), -2 * Double(i) / Double(config.headDim)) / divisor
    }
  }

  /// Sets one row of `angles` to those of `position`, computed in float64 each time: a table for a whole context would
  /// cost more than it saves.
  func turn(_ angles: RotaryAngles, row: Int, to position: Int) {
    let cosines = angles.cosines.row(row)
    let sines = angles.sines.row(row)
    for (i, frequency) in frequencies.enumerated() {
      let angle = Double(position) * frequency
      cosines[i] = Float(cos(angle))
      sines[i] = Float(sin(angle))
    }
  }
}

/// The angles of the rows of one pass, `[T, E/2]`.
final class RotaryAngles {
  let cosines: Matrix
  let sines: Matrix

  init(_ config: LlamaConfig, rows: Int) {
    cosines = Matrix(rows, config.headDim / 2)
    sines = Matrix(rows, config.headDim / 2)
  }
}
