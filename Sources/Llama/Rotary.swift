import Foundation
import Tensors

/// The rotary embedding's frequencies: pair `i` of a head turns by `position · base^(−2i/E) / divisor[i]`, stretched as the
/// model was (`RopeConfig`). The divisors are Llama 3.1's `rope_freqs.weight`, or those of longrope. Su et al. 2021,
/// arXiv 2104.09864.
struct RotaryFrequencies {
  let rope: RopeConfig
  private let frequencies: [Double]

  init(_ config: LlamaConfig, divisors: (name: String, values: Buffer<Float>)?) throws {
    rope = config.rope
    frequencies = try (0..<config.headDim / 2).map { i in
      let divisor = divisors.map { Double($0.values[i]) } ?? 1
      guard divisor.isFinite, divisor > 0 else {
        throw LlamaError.inconsistent("\(divisors?.name ?? "")[\(i)] is \(divisor), not a positive number")
      }
      let frequency = pow(Double(config.rope.base), -2 * Double(i) / Double(config.headDim)) / divisor
      return config.rope.stretched(frequency, ofPair: i, headDim: config.headDim)
    }
  }

  /// Sets one row of `angles` to those of `position`, computed in float64 each time: a table for a whole context would
  /// cost more than it saves.
  func turn(_ angles: RotaryAngles, row: Int, to position: Int) {
    set(angles.keys, row: row, position: position, magnitude: rope.magnitude)
    if let temperature = rope.temperature {
      set(angles.queries, row: row, position: position, magnitude: rope.magnitude * temperature.factor(at: position))
    }
  }

  private func set(_ turns: RotaryAngles.Turns, row: Int, position: Int, magnitude: Double) {
    let cosines = turns.cosines.row(row)
    let sines = turns.sines.row(row)
    for (i, frequency) in frequencies.enumerated() {
      let angle = Double(position) * frequency
      cosines[i] = Float(magnitude * cos(angle))
      sines[i] = Float(magnitude * sin(angle))
    }
  }
}

extension RopeConfig {
  /// The frequency of a pair after the model was stretched.
  fileprivate func stretched(_ frequency: Double, ofPair index: Int, headDim: Int) -> Double {
    switch scaling {
    case .none, .longrope: return frequency
    case .linear(let factor): return frequency / factor
    case .yarn(let factor, let original, let betaFast, let betaSlow):
      // The pair, a fraction in between, that turns `rotations` times over the original context.
      func pair(turning rotations: Double) -> Double {
        Double(headDim) * log(Double(original) / (rotations * 2 * .pi)) / (2 * log(Double(base)))
      }
      let low = max(pair(turning: betaFast).rounded(.down), 0)
      let high = min(pair(turning: betaSlow).rounded(.up), Double(headDim - 1))
      let ramp = min(max((Double(index) - low) / max(high - low, 0.001), 0), 1)  // 0: fast, 1: slow
      return frequency * (1 - ramp) + frequency / factor * ramp
    }
  }
}

extension RopeConfig.Temperature {
  fileprivate func factor(at position: Int) -> Double { 1 + slope * log(1 + Double(position / length)) }
}

/// The angles of the rows of one pass. Queries have their own where they grow with their position.
final class RotaryAngles {
  /// `[T, E/2]`, both times the magnitude.
  struct Turns {
    let cosines: Matrix
    let sines: Matrix
  }

  let keys: Turns
  let queries: Turns

  init(_ config: LlamaConfig, rows: Int) {
    func turns() -> Turns { Turns(cosines: Matrix(rows, config.headDim / 2), sines: Matrix(rows, config.headDim / 2)) }
    keys = turns()
    queries = config.rope.temperature == nil ? keys : turns()
  }

  static func rowBytes(_ config: LlamaConfig) -> Int {
    MemoryLayout<Float>.stride * config.headDim * (config.rope.temperature == nil ? 1 : 2)
  }
}
