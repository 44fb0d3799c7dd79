import Adapters
import Evaluation
import GGUF
import Generation
import Llama
import Oracles
import Scoring
import Tensors
import TestSupport
import Testing
import Tokenization

/// An evaluation against the same quantities put together from the sampler, the scorer and plain loops.
struct EvaluatorTests {
  private let policy: Policy
  private let base: Policy
  private let encoder: PromptEncoder
  private let prompts = ["Name a colour.", "Count to three.", "Why?", "Say yes."].map {
    PromptRecord(prompt: .text($0))
  }
  private static let samples = 3

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.deviation = 0.3
    try tiny.write(to: path)
    let file = try GGUFFile.open(path)
    let model = try LlamaModel(file, precision: .int16, kernels: #require(Kernels(threads: 1)))
    let adapter = LoRAAdapter.fresh(
      architecture: "llama", rank: 4, alpha: 8, seed: 1,
      shapes: model.adaptable.filter { $0.name.contains("ffn_down") })
    for module in adapter.modules {
      for (i, value) in Seeded(5, module.name).normals(module.b.count, deviation: 0.5).enumerated() {
        module.b.buffer[i] = value
      }
    }
    policy = try Policy(model, adapter: adapter)
    base = try Policy(model)
    encoder = PromptEncoder(tokenizer: try Tokenizer(file.metadata), template: nil, raw: true)
  }

  /// A dozen end tokens among 259: some of the answers end by themselves.
  private func options(_ sampler: SamplerConfig = .init()) -> GenerationOptions {
    GenerationOptions(
      sampler: sampler, seed: 3, maximumTokens: 10, endTokens: Set((40..<52).map(TokenID.init)),
      isCancelled: { false })
  }

  private func answers(_ policy: Policy) throws -> [[Response]] {
    var all: [[Response]] = []
    try PromptSampler(policy, encoder: encoder, options: options()).run(prompts, samples: Self.samples) {
      all.append($0.responses)
    }
    return all
  }

  private func evaluate(
    _ policy: Policy, _ sampler: SamplerConfig = .init(), _ oracle: any PreferenceOracle = Shorter()
  ) async throws -> EvaluationResult {
    try await Evaluator(policy, against: base, encoder: encoder, options: options(sampler), oracle: oracle)
      .run(prompts, samples: Self.samples)
  }

  @Test func theKLIsThatOfTheScorer() async throws {
    let requests = try zip(prompts, answers(policy)).map {
      ScoreRequest(prompt: try encoder.prompt($0.prompt), responses: $1.map(\.tokenIDs))
    }
    let mine = try Scorer(policy).logProbs(requests, isCancelled: { false }).joined().map(\.logProbSum)
    let others = try Scorer(base).logProbs(requests, isCancelled: { false }).joined().map(\.logProbSum)
    let mean = zip(mine, others).reduce(0) { $0 + ($1.0 - $1.1) } / Double(mine.count)
    #expect(mine.count == 12)
    let result = try await evaluate(policy)
    // The same twelve numbers below 200, added in one order or another.
    expectClose(try #require(result.kl), mean, absolute: 12 * 200 * 0x1p-52)
    #expect(mean > 1, "the adapter changes the model a lot")
    #expect(try await evaluate(base).kl == 0)
  }

  @Test(arguments: [
    SamplerConfig(temperature: 0.7), SamplerConfig(topK: 5), SamplerConfig(topP: 0.9), SamplerConfig(minP: 0.1),
  ])
  func anotherDistributionsSamplesHaveNoKL(sampler: SamplerConfig) async throws {
    #expect(try await evaluate(policy, sampler).kl == nil)
  }

  @Test func lengthsAndEndsAreThoseOfTheSamples() async throws {
    let result = try await evaluate(policy)
    let (mine, others) = (try answers(policy).flatMap { $0 }, try answers(base).flatMap { $0 })
    func mean(_ values: [Int]) -> Double { Double(values.reduce(0, +)) / Double(values.count) }
    #expect(result.meanTokens == mean(mine.map(\.tokenIDs.count)))
    #expect(result.referenceMeanTokens == mean(others.map(\.tokenIDs.count)))
    #expect(result.meanTokens != result.referenceMeanTokens, "the two are told apart")
    #expect(result.finished == mean(mine.map { $0.finish == .stop ? 1 : 0 }))
    #expect(result.referenceFinished == mean(others.map { $0.finish == .stop ? 1 : 0 }))
    #expect(result.finished > 0 && result.finished < 1)
  }

  @Test func aPromptIsWonByTheMeanOfItsAnswers() async throws {
    let pairs = zip(try answers(policy), try answers(base)).map { zip($0, $1).map { ($0, $1) } }
    var won = 0.0
    var sum = 0.0
    for answers in pairs {
      var verdict = 0.0
      for (mine, other) in answers {
        let (a, b) = (mine.tokenIDs.count, other.tokenIDs.count)
        verdict += (a < b ? 0.75 : a == b ? 0.5 : 0.25) / Double(Self.samples)
      }
      sum += verdict
      won += abs(verdict - 0.5) < 1e-9 ? 0.5 : verdict > 0.5 ? 1 : 0
    }
    let result = try await evaluate(policy)
    #expect(result.prompts == 4)
    #expect(result.winRate == won / 4)
    // Twelve quarters of a third each; a few roundings near 1.
    expectClose(result.meanProbability, sum / 4, absolute: 12 * 0x1p-52)
    let interval = Interval.wilson(successes: won, trials: 4)
    #expect(result.ciLow == interval.low && result.ciHigh == interval.high)
    #expect(result.winRate != 0.5, "the two sides are told apart")
  }

  @Test func noPromptsCannotBeEvaluated() async throws {
    let evaluator = Evaluator(policy, against: base, encoder: encoder, options: options(), oracle: Shorter())
    await #expect(throws: EvaluationError.noPrompts) { try await evaluator.run([]) }
  }
}

/// Prefers fewer tokens with 0.75.
private struct Shorter: PreferenceOracle {
  let name = "shorter"

  func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) async throws -> Double {
    a.tokenIDs.count < b.tokenIDs.count ? 0.75 : a.tokenIDs.count == b.tokenIDs.count ? 0.5 : 0.25
  }
}
