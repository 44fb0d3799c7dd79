import Foundation
import Generation
import Tensors
import TestSupport
import Testing

/// The sampler chain against a plain float64 version: sort, cut, divide, normalise.
struct SamplerTests {
  static let configs = [
    SamplerConfig(), SamplerConfig(temperature: 0.7), SamplerConfig(temperature: 2), SamplerConfig(topK: 1),
    SamplerConfig(temperature: 1e-3), SamplerConfig(temperature: 1e-30),
    SamplerConfig(temperature: .leastNonzeroMagnitude),
    SamplerConfig(temperature: 1e-30, topK: 5),
    SamplerConfig(topK: 5), SamplerConfig(topK: 1000), SamplerConfig(topP: 0.5), SamplerConfig(topP: 0.95),
    SamplerConfig(topP: 1e-9), SamplerConfig(minP: 0.1), SamplerConfig(minP: 1),
    SamplerConfig(temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05),
    SamplerConfig(temperature: 1.5, topK: 7, topP: 0.6), SamplerConfig(temperature: 1.3, topP: 0.8, minP: 0.2),
  ]

  @Test(arguments: configs)
  func drawsAsTheTwin(config: SamplerConfig) throws {
    let kernels = try #require(Kernels(threads: 1))
    let sampler = Sampler(config: config, kernels: kernels)
    for seed in 0..<20 {
      let logits = Seeded(UInt64(seed)).normals(301, deviation: 2)
      let twin = TwinSampler(logits, config)
      for uniform in [0, 0.001, 0.25, 0.5, 0.77, 0.99, 1 - 0x1p-53] {
        let draw = logits.withUnsafeBufferPointer { sampler.draw($0, logSum: Float(twin.logSum), uniform: uniform) }
        // Near a step of the cumulative distribution, float weights may fall on the other side: both are then right.
        let want = twin.draw(uniform)
        if draw.token != want { #expect(twin.isNearStep(uniform, between: draw.token, and: want)) }
        let behaviour = try #require(twin.probabilities[draw.token])
        // Logits differ from the log-sum by at most 16, so each float operation errs by at most 2⁻²⁰; there are fewer than 4.
        #expect(abs(Double(draw.behaviourLogProb) - log(behaviour)) <= 4 * 0x1p-20)
      }
    }
  }

  @Test(arguments: [1e-30, Double.leastNonzeroMagnitude])
  func aTinyTemperatureTakesTheBest(temperature: Double) throws {
    let kernels = try #require(Kernels(threads: 1))
    // The log-sum is far from every logit, as it is over a large vocabulary.
    let logits: [Float] = [1, 3, -2, 2.999, 0]
    for uniform in [0, 0.5, 1 - 0x1p-53] {
      let draw = logits.withUnsafeBufferPointer {
        Sampler(config: SamplerConfig(temperature: temperature), kernels: kernels)
          .draw($0, logSum: 12, uniform: uniform)
      }
      #expect(draw.token == 1)
      #expect(draw.behaviourLogProb == 0)
    }
  }

  @Test func temperatureOneGivesTheRawLogProbs() throws {
    let kernels = try #require(Kernels(threads: 1))
    let logits = Seeded(2).normals(301, deviation: 2)
    let logSum = Float(TwinSampler(logits, SamplerConfig()).logSum)
    for uniform in [0, 0.3, 0.9] {
      let draw = logits.withUnsafeBufferPointer {
        Sampler(config: SamplerConfig(), kernels: kernels).draw($0, logSum: logSum, uniform: uniform)
      }
      #expect(draw.behaviourLogProb == logits[draw.token] - logSum)
    }
  }

  @Test func temperatureZeroTakesTheFirstOfTheBest() throws {
    let kernels = try #require(Kernels(threads: 1))
    let logits: [Float] = [1, 3, -2, 3, 0]
    let draw = logits.withUnsafeBufferPointer {
      Sampler(config: SamplerConfig(temperature: 0), kernels: kernels).draw($0, logSum: 4, uniform: 0.99)
    }
    #expect(draw.token == 1)
    #expect(draw.behaviourLogProb == 0)
  }

  /// Tokens that were cut have no probability, and those left are drawn as often as they should.
  @Test(arguments: [SamplerConfig(), SamplerConfig(temperature: 0.7, topK: 6, topP: 0.9)])
  func drawsFollowTheDistribution(config: SamplerConfig) throws {
    let kernels = try #require(Kernels(threads: 1))
    let sampler = Sampler(config: config, kernels: kernels)
    let logits = Seeded(3).normals(8, deviation: 1)
    let twin = TwinSampler(logits, config)
    let random = CounterRandom(seed: 11)
    let draws = 20_000
    var counts = [Int](repeating: 0, count: logits.count)
    for i in 0..<draws {
      let draw = logits.withUnsafeBufferPointer {
        sampler.draw($0, logSum: Float(twin.logSum), uniform: random.uniform(UInt64(i)))
      }
      counts[draw.token] += 1
    }
    var chiSquare = 0.0
    for (token, count) in counts.enumerated() {
      guard let probability = twin.probabilities[token] else {
        #expect(count == 0, "token \(token) was cut")
        continue
      }
      let expected = probability * Double(draws)
      chiSquare += (Double(count) - expected) * (Double(count) - expected) / expected
    }
    // 0.1 % of fair samples exceed this with 7 degrees of freedom; with fewer, it is rarer still. The seed is fixed.
    #expect(chiSquare < 24.32)
  }

  @Test func refusesSettingsWithoutMeaning() {
    for config in [
      SamplerConfig(temperature: -1), SamplerConfig(temperature: .nan), SamplerConfig(topK: -1), SamplerConfig(topP: 0),
      SamplerConfig(topP: 1.1), SamplerConfig(minP: -0.1), SamplerConfig(minP: 2),
    ] {
      #expect(throws: SamplerError.self) { try config.check() }
    }
  }
}

/// Plain loops in float64; nothing of the product.
private struct TwinSampler {
  let logSum: Double
  /// After the chain; tokens that were cut are absent.
  private(set) var probabilities: [Int: Double] = [:]

  init(_ logits: [Float], _ config: SamplerConfig) {
    let z = logits.map(Double.init)
    let best = z.max() ?? 0
    logSum = best + log(z.reduce(0) { $0 + exp($1 - best) })
    var kept = z.indices.sorted { (z[$0], $1) > (z[$1], $0) }
    if config.topK > 0 { kept = Array(kept.prefix(config.topK)) }
    if config.topP < 1 {
      let total = kept.reduce(0) { $0 + exp(z[$1] - logSum) }
      var sum = 0.0
      var count = 0
      for token in kept {
        sum += exp(z[token] - logSum)
        count += 1
        if sum >= config.topP * total { break }
      }
      kept = Array(kept.prefix(count))
    }
    if config.minP > 0 { kept = kept.filter { z[$0] >= best + log(config.minP) } }
    let total = kept.reduce(0) { $0 + exp((z[$1] - best) / config.temperature) }
    for token in kept { probabilities[token] = exp((z[token] - best) / config.temperature) / total }
  }

  /// Inverse of the cumulative distribution in token order.
  func draw(_ uniform: Double) -> Int {
    var sum = 0.0
    var last = 0
    for token in probabilities.keys.sorted() {
      sum += probabilities[token] ?? 0
      last = token
      if sum > uniform { break }
    }
    return last
  }

  /// Whether `uniform` lies so close to a step that rounding decides: 301 float weights, each off by at most 2⁻²⁰.
  func isNearStep(_ uniform: Double, between a: Int, and b: Int) -> Bool {
    var sum = 0.0
    for token in probabilities.keys.sorted() {
      sum += probabilities[token] ?? 0
      if abs(sum - uniform) < 0x1p-19 && token >= min(a, b) && token <= max(a, b) { return true }
    }
    return false
  }
}
