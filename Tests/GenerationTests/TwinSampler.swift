import Foundation

/// The sampler chain in plain float64 loops; nothing of the product. Stages run in the order in which they are listed.
struct TwinSampler {
  enum Stage: Sendable {
    case bias([Int: Double])
    case penalties(repetition: Double, frequency: Double, presence: Double, window: Int)
    case dry(multiplier: Double, base: Double, allowed: Int, breakers: Set<Int>)
    case topNSigma(Double)
    case topK(Int)
    case typical(Double)
    case topP(Double)
    case minP(Double)
    case xtc(probability: Double, threshold: Double)
    case temperature(Double)
    case dynamicTemperature(low: Double, high: Double, exponent: Double)
    case mirostat(limit: Double)
  }

  let logSum: Double
  /// After the chain; tokens that were cut are absent.
  private(set) var probabilities: [Int: Double] = [:]

  init(_ logits: [Float], _ stages: [Stage], history: [Int] = [], chance: Double = 0) {
    var z = [Int: Double](uniqueKeysWithValues: logits.enumerated().map { ($0, Double($1)) })
    logSum = Self.logSum(z)
    for stage in stages {
      let p = Self.softmax(z)
      let byProbability = z.keys.sorted { (z[$0]!, $1) > (z[$1]!, $0) }
      let entropy = p.values.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
      func keepUntil(_ order: [Int], _ isEnough: (Double) -> Bool) {
        var (kept, sum) = ([Int: Double](), 0.0)
        for token in order {
          kept[token] = z[token]
          sum += p[token]!
          if isEnough(sum) { break }
        }
        z = kept
      }
      switch stage {
      case .bias(let bias):
        for (token, value) in bias { z[token]! += value }
        z = z.filter { $0.value > -.infinity }
      case .penalties(let repetition, let frequency, let presence, let window):
        let seen = window < 0 ? history : Array(history.suffix(window))
        for token in Set(seen) {
          z[token]! = z[token]! > 0 ? z[token]! / repetition : z[token]! * repetition
          z[token]! -= Double(seen.filter { $0 == token }.count) * frequency + presence
        }
      case .dry(let multiplier, let base, let allowed, let breakers):
        for (token, length) in Self.repetitions(history, breakers) where length >= allowed {
          z[token]! -= multiplier * pow(base, Double(length - allowed))
        }
      case .topNSigma(let n):
        let mean = z.values.reduce(0, +) / Double(z.count)
        let variance = z.values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(z.count)
        let least = z.values.max()! - n * sqrt(variance)
        z = z.filter { $0.value >= least }
      case .topK(let k):
        z = z.filter { byProbability.prefix(k).contains($0.key) }
      case .typical(let limit):
        keepUntil(z.keys.sorted { abs(-log(p[$0]!) - entropy) < abs(-log(p[$1]!) - entropy) }) { $0 > limit }
      case .topP(let limit):
        keepUntil(byProbability) { $0 >= limit }
      case .minP(let fraction):
        let least = p.values.max()! * fraction
        z = z.filter { p[$0.key]! >= least }
      case .xtc(let probability, let threshold):
        let top = byProbability.filter { p[$0]! >= threshold }
        if chance < probability && top.count > 1 { for token in top.dropLast() { z[token] = nil } }
      case .temperature(let t):
        z = t == 0 ? [byProbability[0]: 0] : z.mapValues { $0 / t }
      case .dynamicTemperature(let low, let high, let exponent):
        let t = low + (high - low) * pow(entropy / log(Double(z.count)), exponent)
        z = z.mapValues { $0 / t }
      case .mirostat(let limit):
        z = z.filter { -log2(p[$0.key]!) <= limit || $0.key == byProbability[0] }
      }
    }
    probabilities = Self.softmax(z)
  }

  private static func logSum(_ z: [Int: Double]) -> Double {
    let best = z.values.max()!
    return best + log(z.values.reduce(0) { $0 + exp($1 - best) })
  }

  private static func softmax(_ z: [Int: Double]) -> [Int: Double] {
    // From the best: at tiny temperatures the sum and the best agree in all digits.
    let best = z.values.max()!
    let total = z.values.reduce(0) { $0 + exp($1 - best) }
    return z.mapValues { exp($0 - best) / total }
  }

  /// For each token, how long a repetition it would extend.
  private static func repetitions(_ history: [Int], _ breakers: Set<Int>) -> [Int: Int] {
    var longest: [Int: Int] = [:]
    for place in history.indices.dropFirst() where !breakers.contains(history[place]) {
      var length = 0
      while length < place, history[place - 1 - length] == history[history.count - 1 - length],
        !breakers.contains(history[history.count - 1 - length])
      { length += 1 }
      longest[history[place]] = max(longest[history[place]] ?? 0, length)
    }
    return longest
  }

  /// Inverse of the cumulative distribution in token order.
  func draw(_ uniform: Double) -> Int {
    var sum = 0.0
    var last = 0
    for token in probabilities.keys.sorted() where probabilities[token]! > 0 {
      sum += probabilities[token]!
      last = token
      if sum > uniform { break }
    }
    return last
  }

  /// Whether `uniform` lies so close to a step that rounding decides: 301 float weights, each off by at most 2⁻²⁰.
  func isNearStep(_ uniform: Double, between a: Int, and b: Int) -> Bool {
    var sum = 0.0
    for token in probabilities.keys.sorted() {
      sum += probabilities[token]!
      if abs(sum - uniform) < 0x1p-19 && token >= min(a, b) && token <= max(a, b) { return true }
    }
    return false
  }
}
