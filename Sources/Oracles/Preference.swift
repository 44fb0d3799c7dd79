/// From scores to preferences: the model of Bradley and Terry (1952).

import Foundation

enum Preference {
  /// σ(score(a) − score(b)). Both orders use the same exponential, and 1 − p is exact for p ≥ ½: so they add up to exactly 1.
  static func between(_ a: Double, _ b: Double) -> Double {
    let stronger = 1 / (1 + exp(-abs(a - b)))
    return a >= b ? stronger : 1 - stronger
  }
}
