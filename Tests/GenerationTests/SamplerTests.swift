import Foundation
import Generation
import Tensors
import TestSupport
import Testing

/// The sampler chain against a plain float64 version: sort, cut, divide, normalise.
struct SamplerTests {
  /// A configuration, and what it means.
  struct Case: Sendable, CustomTestStringConvertible {
    let config: SamplerConfig
    let stages: [TwinSampler.Stage]
    var testDescription: String { "\(stages)" }

    init(_ stages: TwinSampler.Stage..., configure: (inout SamplerConfig) -> Void) {
      var config = SamplerConfig()
      configure(&config)
      (self.config, self.stages) = (config, stages)
    }
  }

  /// What a draw may look back on: repetitions of several lengths, across token 5 and not.
  static let history = [9, 1, 2, 3, 4, 1, 2, 3, 7, 5, 1, 2, 3, 4, 8, 5, 3, 3, 3, 2, 3, 4, 1, 2, 3]

  static let cases = [
    Case { _ in },
    Case(.temperature(0.7)) { $0.temperature = 0.7 },
    Case(.temperature(2)) { $0.temperature = 2 },
    Case(.temperature(0)) { $0.temperature = 0 },
    Case(.temperature(1e-3)) { $0.temperature = 1e-3 },
    Case(.topK(5), .temperature(1e-3)) {
      $0.topK = 5
      $0.temperature = 1e-3
    },
    Case(.topK(1)) { $0.topK = 1 }, Case(.topK(5)) { $0.topK = 5 }, Case(.topK(300)) { $0.topK = 300 },
    Case(.topK(1000)) { $0.topK = 1000 },
    Case(.topP(0.5)) { $0.topP = 0.5 }, Case(.topP(0.95)) { $0.topP = 0.95 }, Case(.topP(1e-9)) { $0.topP = 1e-9 },
    Case(.minP(0.1)) { $0.minP = 0.1 }, Case(.minP(1)) { $0.minP = 1 },
    Case(.typical(0.3)) { $0.typicalP = 0.3 }, Case(.typical(0.9)) { $0.typicalP = 0.9 },
    Case(.topNSigma(1)) { $0.topNSigma = 1 }, Case(.topNSigma(2.5)) { $0.topNSigma = 2.5 },
    Case(.xtc(probability: 0.5, threshold: 0.02)) { $0.xtc = XTC(probability: 0.5, threshold: 0.02) },
    Case(.xtc(probability: 0.2, threshold: 0.02)) { $0.xtc = XTC(probability: 0.2, threshold: 0.02) },
    Case(.dynamicTemperature(low: 0.2, high: 1.4, exponent: 2)) {
      $0.temperature = 0.8
      $0.dynamicTemperature = DynamicTemperature(range: 0.6, exponent: 2)
    },
    Case(.bias([3: 6, 8: -.infinity, 9: -1])) { $0.logitBias = [3: 6, 8: -.infinity, 9: -1] },
    Case(.penalties(repetition: 1.3, frequency: 0, presence: 0, window: 64)) { $0.penalties.repetition = 1.3 },
    Case(.penalties(repetition: 0.8, frequency: -0.4, presence: 0.5, window: 7)) {
      $0.penalties = Penalties(repetition: 0.8, frequency: -0.4, presence: 0.5, window: 7)
    },
    Case(.penalties(repetition: 1, frequency: 0.3, presence: 0, window: -1)) {
      $0.penalties = Penalties(frequency: 0.3, window: -1)
    },
    Case(.dry(multiplier: 0.8, base: 1.75, allowed: 2, breakers: [])) { $0.dry.multiplier = 0.8 },
    Case(.dry(multiplier: 1, base: 1.5, allowed: 1, breakers: [5, 4])) {
      $0.dry = DRY(multiplier: 1, base: 1.5, allowedLength: 1, breakers: [5, 4])
    },
    Case(.mirostat(limit: 3)) { $0.mirostat = Mirostat(target: 1.5) },
    Case(.mirostat(limit: 0.1)) { $0.mirostat = Mirostat(target: 0.05) },
    Case(.temperature(0.7), .mirostat(limit: 4)) {
      $0.temperature = 0.7
      $0.mirostat = Mirostat(target: 2)
    },
    // Several at once, in llama.cpp's order, in Hugging Face's, and in one of its own.
    Case(.topK(40), .topP(0.95), .minP(0.05), .temperature(0.8)) {
      ($0.topK, $0.topP, $0.minP, $0.temperature) = (40, 0.95, 0.05, 0.8)
    },
    Case(.topK(7), .topP(0.6), .temperature(1.5)) { ($0.topK, $0.topP, $0.temperature) = (7, 0.6, 1.5) },
    Case(.topP(0.8), .minP(0.2), .temperature(1.3)) { ($0.topP, $0.minP, $0.temperature) = (0.8, 0.2, 1.3) },
    Case(.temperature(1.5), .topK(30), .topP(0.8), .minP(0.1)) {
      ($0.temperature, $0.topK, $0.topP, $0.minP, $0.order) = (1.5, 30, 0.8, 0.1, .huggingFace)
    },
    Case(.minP(0.02), .temperature(0.6), .topP(0.7)) {
      ($0.minP, $0.temperature, $0.topP) = (0.02, 0.6, 0.7)
      $0.order = try! SamplerOrder("min_p;temperature;top_p")
    },
    Case(
      .bias([1: 2]), .penalties(repetition: 1.1, frequency: 0.1, presence: 0.1, window: 64),
      .dry(multiplier: 0.5, base: 1.2, allowed: 2, breakers: [5]), .topNSigma(3), .topK(100), .typical(0.95),
      .topP(0.9), .minP(0.01), .xtc(probability: 0.9, threshold: 0.05), .temperature(0.9)
    ) {
      $0.logitBias = [1: 2]
      $0.penalties = Penalties(repetition: 1.1, frequency: 0.1, presence: 0.1)
      $0.dry = DRY(multiplier: 0.5, base: 1.2, breakers: [5])
      ($0.topNSigma, $0.topK, $0.typicalP, $0.topP, $0.minP, $0.temperature) = (3, 100, 0.95, 0.9, 0.01, 0.9)
      $0.xtc = XTC(probability: 0.9, threshold: 0.05)
    },
  ]

  private func sampler(_ config: SamplerConfig) throws -> Sampler {
    try Sampler(config: config, kernels: #require(Kernels(threads: 1)))
  }

  private func draw(
    _ sampler: Sampler, _ logits: [Float], logSum: Double? = nil, _ situation: DrawSituation
  ) throws -> Sampler.Draw {
    let logSum = logSum ?? TwinSampler(logits, []).logSum
    return try logits.withUnsafeBufferPointer { try sampler.draw($0, logSum: Float(logSum), situation) }
  }

  @Test(arguments: cases)
  func drawsAsTheTwin(one: Case) throws {
    let sampler = try sampler(one.config)
    for seed in 0..<20 {
      let logits = Seeded(UInt64(seed)).normals(301, deviation: 2)
      let twin = TwinSampler(logits, one.stages, history: Self.history, chance: 0.3)
      for uniform in [0, 0.001, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.77, 0.85, 0.93, 0.99, 1 - 0x1p-53] {
        let draw = try draw(
          sampler, logits, logSum: twin.logSum,
          DrawSituation(uniform: uniform, chance: 0.3, history: Self.history.map(TokenID.init)))
        // Near a step of the cumulative distribution, float weights may fall on the other side: both are then right.
        let want = twin.draw(uniform)
        if draw.token != want { #expect(twin.isNearStep(uniform, between: draw.token, and: want)) }
        let behaviour = try #require(twin.probabilities[draw.token])
        // Logits stay within 32 of the log-sum, so a rounding to float errs by at most 2⁻²⁰. There are one for the log-sum
        // and one for each stage that changes logits, at most four, and those of the weights.
        #expect(abs(Double(draw.behaviourLogProb) - log(behaviour)) <= 8 * 0x1p-20)
      }
    }
  }

  @Test(arguments: [1e-30, Double.leastNonzeroMagnitude], [0, 5])
  func aTinyTemperatureTakesTheBest(temperature: Double, topK: Int) throws {
    // The log-sum is far from every logit, as it is over a large vocabulary.
    let logits: [Float] = [1, 3, -2, 2.999, 0]
    for uniform in [0, 0.5, 1 - 0x1p-53] {
      let draw = try draw(
        sampler(SamplerConfig(temperature: temperature, topK: topK)), logits, logSum: 12, .init(uniform: uniform))
      #expect(draw.token == 1 && draw.behaviourLogProb == 0)
    }
  }

  @Test func thePolicyItselfGivesTheRawLogProbs() throws {
    let logits = Seeded(2).normals(301, deviation: 2)
    let logSum = Float(TwinSampler(logits, []).logSum)
    for uniform in [0, 0.3, 0.9] {
      let draw = try draw(sampler(SamplerConfig()), logits, .init(uniform: uniform))
      #expect(draw.behaviourLogProb == logits[draw.token] - logSum)
    }
  }

  @Test func temperatureZeroTakesTheFirstOfTheBest() throws {
    let draw = try draw(sampler(SamplerConfig(temperature: 0)), [1, 3, -2, 3, 0], .init(uniform: 0.99))
    #expect(draw.token == 1 && draw.behaviourLogProb == 0)
  }

  /// Tokens that were cut have no probability, and those left are drawn as often as they should.
  @Test(arguments: [
    Case { _ in }, Case(.temperature(0.7)) { $0.temperature = 0.7 },
    Case(.topK(6), .topP(0.9), .temperature(0.7)) { ($0.temperature, $0.topK, $0.topP) = (0.7, 6, 0.9) },
    Case(.typical(0.8)) { $0.typicalP = 0.8 },
    Case(.penalties(repetition: 1.5, frequency: 0, presence: 0.2, window: 3)) {
      $0.penalties = Penalties(repetition: 1.5, presence: 0.2, window: 3)
    },
    Case(.xtc(probability: 0.4, threshold: 0.15)) { $0.xtc = XTC(probability: 0.4, threshold: 0.15) },
  ])
  func drawsFollowTheDistribution(one: Case) throws {
    let sampler = try sampler(one.config)
    let logits = Seeded(3).normals(8, deviation: 1)
    let history: [TokenID] = [4, 1, 2, 2]
    let (draws, chances) = (CounterRandom(seed: 11), CounterRandom(seed: 11, CounterRandom.key("chance")))
    let count = 100_000
    var found = [Double](repeating: 0, count: logits.count)
    for i in 0..<count {
      let situation = DrawSituation(
        uniform: draws.uniform(UInt64(i)), chance: chances.uniform(UInt64(i)), history: history)
      found[try draw(sampler, logits, situation).token] += 1
    }
    // XTC strikes in its share of the draws.
    let strikes = one.config.xtc.probability
    let (with, without) = (0.0, 1 - 0x1p-53)
    let struck = TwinSampler(logits, one.stages, history: history.map(Int.init), chance: with).probabilities
    let spared = TwinSampler(logits, one.stages, history: history.map(Int.init), chance: without).probabilities
    var chiSquare = 0.0
    for (token, number) in found.enumerated() {
      let expected = Double(count) * (strikes * (struck[token] ?? 0) + (1 - strikes) * (spared[token] ?? 0))
      guard expected > 0 else {
        #expect(number == 0, "token \(token) was cut")
        continue
      }
      chiSquare += (number - expected) * (number - expected) / expected
    }
    // 0.1 % of fair samples exceed this with 7 degrees of freedom; with fewer, it is rarer still. The seed is fixed.
    #expect(chiSquare < 24.32)
  }

  @Test func mirostatHoldsTheSurprise() throws {
    let sampler = try sampler(Case { $0.mirostat = Mirostat(target: 2, rate: 0.1) }.config)
    let random = CounterRandom(seed: 4)
    var (limit, surprise) = (Double?.none, 0.0)
    for i in 0..<2000 {
      let logits = Seeded(UInt64(i)).normals(301, deviation: 2)
      let draw = try draw(sampler, logits, .init(uniform: random.uniform(UInt64(i)), surpriseLimit: limit))
      let next = try #require(sampler.surpriseLimit(after: draw, limit))
      #expect(next == (limit ?? 4) - 0.1 * (-Double(draw.behaviourLogProb) / log(2) - 2))
      limit = next
      surprise -= Double(draw.behaviourLogProb) / log(2)
    }
    // The limit moved by the sum of the errors times the rate, and stays within 20 bits: the mean error is below 0.1 bits.
    #expect(abs(surprise / 2000 - 2) < 0.1)
  }

  @Test func ordersAreReadAsTheyAreWritten() throws {
    #expect(try SamplerOrder(SamplerOrder.llama.text) == .llama)
    #expect(try SamplerOrder("temperature;top_k").text == "temperature;top_k")
    #expect(throws: SamplerError.unknownStage("top_q")) { try SamplerOrder("top_k;top_q") }
    #expect(throws: SamplerError.repeatedStage("top_k")) { try SamplerOrder("top_k;top_k") }
    var config = SamplerConfig(topK: 3, topP: 0.5)
    config.order = try SamplerOrder("top_p")
    #expect(throws: SamplerError.leftOut("top_k", "top_p")) { try config.check() }
  }

  @Test func identitiesTellConfigurationsApart() {
    var all = Set(Self.cases.map(\.config.identity))
    #expect(all.count == Self.cases.count)
    all.insert(Case { $0.logitBias = [9: -1, 3: 6, 8: -.infinity] }.config.identity)
    #expect(all.count == Self.cases.count, "the order of a dictionary is no difference")
  }

  @Test func forbiddingAllTokensIsNamed() throws {
    let config = Case { $0.logitBias = [0: -.infinity, 1: -.infinity] }.config
    #expect(throws: SamplerError.nothingLeft(position: 2)) {
      try draw(sampler(config), [1, 2], .init(uniform: 0.5, history: [0, 1]))
    }
  }

  @Test func refusesSettingsWithoutMeaning() throws {
    let changes: [(inout SamplerConfig) -> Void] = [
      { $0.temperature = -1 }, { $0.temperature = .nan }, { $0.topK = -1 }, { $0.topP = 0 }, { $0.topP = 1.1 },
      { $0.minP = -0.1 }, { $0.minP = 2 }, { $0.typicalP = 0 }, { $0.topNSigma = -1 }, { $0.logitBias = [1: .nan] },
      { $0.penalties.repetition = 0 }, { $0.penalties.frequency = .infinity }, { $0.penalties.window = -2 },
      { $0.dry.multiplier = -1 }, { $0.dry.base = 0.5 }, { $0.dry.allowedLength = 0 }, { $0.xtc.probability = 2 },
      { $0.xtc.threshold = -1 }, { $0.dynamicTemperature.range = -1 }, { $0.mirostat = Mirostat(target: 0) },
      { $0.mirostat = Mirostat(rate: 0) },
    ]
    for change in changes {
      var config = SamplerConfig()
      change(&config)
      #expect(throws: SamplerError.self, "\(config)") { try config.check() }
    }
    for one in Self.cases { try one.config.check() }
  }
}
