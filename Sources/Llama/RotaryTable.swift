import Foundation
import Tensors

/// Cosines and sines of the rotary embedding for every position, made once in float64.
///
/// Pair `i` of a head turns by `position · base^(−2i/E) / divisor[i]`; the divisors are Llama 3.1's `rope_freqs.weight`.
/// Su et al. 2021, arXiv 2104.09864; pairs are neighbours (2i, 2i+1), as GGUF orders them for `llama`.
struct RotaryTable {
  /// `[positions, E/2]`
  let cosines: Matrix
  let sines: Matrix

  init(_ config: LlamaConfig, divisors: Buffer<Float>?, positions: Int) throws {
    let half = config.headDim / 2
    let frequencies = try (0..<half).map { i in
      let divisor = divisors.map { Double($0[i]) } ?? 1
      guard divisor.isFinite, divisor > 0 else {
        throw LlamaError.inconsistent("\(TensorName.ropeFreqs)[\(i)] is \(divisor), not a positive number")
      }
      return pow(Double(config.ropeBase), -2 * Double(i) / Double(config.headDim)) / divisor
    }
    cosines = Matrix(positions, half)
    sines = Matrix(positions, half)
    for position in 0..<positions {
      let cosineRow = cosines.row(position)
      let sineRow = sines.row(position)
      for i in 0..<half {
        let angle = Double(position) * frequencies[i]
        cosineRow[i] = Float(cos(angle))
        sineRow[i] = Float(sin(angle))
      }
    }
  }
}
