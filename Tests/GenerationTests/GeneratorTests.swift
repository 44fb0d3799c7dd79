import GGUF
import Generation
import Llama
import Tensors
import TestSupport
import Testing
import Tokenization

/// What is sampled depends on seed, request index, sample index and policy; on nothing else.
struct GeneratorTests {
  private let model: LlamaModel
  private let policy: Policy

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.deviation = 0.3
    try tiny.write(to: path)
    model = try LlamaModel(GGUFFile.open(path), precision: .int16, kernels: #require(Kernels(threads: 1)))
    policy = try Policy(model)
  }

  private func options(
    _ sampler: SamplerConfig = .init(), seed: UInt64 = 5, tokens: Int = 12, end: Set<TokenID> = [], sequences: Int = 64
  ) -> GenerationOptions {
    GenerationOptions(
      sampler: sampler, seed: seed, maximumTokens: tokens, endTokens: end, maximumSequences: sequences,
      isCancelled: { false })
  }

  private func prompt(_ seed: UInt64, _ count: Int) -> [TokenID] {
    Seeded(seed).integers(count, below: model.vocabularySize).map(TokenID.init)
  }

  private func generate(_ requests: [GenerationRequest], _ options: GenerationOptions) throws -> [[Sample]] {
    var all: [[Sample]] = []
    try Generator(policy, options).run(requests) { place, samples in
      #expect(place == all.count, "answers come in the order of the requests")
      all.append(samples)
    }
    return all
  }

  private func expectSame(_ a: [Sample], _ b: [Sample]) {
    #expect(a.map(\.tokens) == b.map(\.tokens))
    #expect(a.map { $0.logProbs.map(\.bitPattern) } == b.map { $0.logProbs.map(\.bitPattern) })
    #expect(
      a.map { $0.behaviourLogProbs.map(\.bitPattern) } == b.map { $0.behaviourLogProbs.map(\.bitPattern) })
  }

  private var requests: [GenerationRequest] {
    [(3, 2), (70, 3), (1, 1), (64, 2), (65, 1)].enumerated().map { index, size in
      GenerationRequest(prompt: prompt(UInt64(index), size.0), index: index, samples: size.1)
    }
  }

  @Test(arguments: [SamplerConfig(), SamplerConfig(temperature: 0.8, topK: 20, topP: 0.9)])
  func aRequestAloneIsTheSameAsAmongOthers(sampler: SamplerConfig) throws {
    let together = try generate(requests, options(sampler))
    for (request, samples) in zip(requests, together) {
      expectSame(try generate([request], options(sampler))[0], samples)
    }
  }

  @Test(arguments: [1, 2, 5])
  func theSizeOfTheBatchChangesNothing(sequences: Int) throws {
    // An end token that comes up often, so that answers finish at different times and make room for others.
    let end = Set(prompt(9, 24))
    let all = try generate(requests, options(end: end))
    let few = try generate(requests, options(end: end, sequences: sequences))
    for (a, b) in zip(all, few) { expectSame(a, b) }
    #expect(all.joined().contains { $0.finish == .stop })
    #expect(all.joined().contains { $0.finish == .length })
  }

  @Test func moreSamplesLeaveTheFirstOnesAlone() throws {
    let tokens = prompt(1, 20)
    let four = try generate([GenerationRequest(prompt: tokens, index: 7, samples: 4)], options())[0]
    let two = try generate([GenerationRequest(prompt: tokens, index: 7, samples: 2)], options())[0]
    expectSame(Array(four.prefix(2)), two)
    #expect(Set(four.map(\.tokens)).count == 4, "samples of one prompt differ")
  }

  @Test func anEarlierTurnGivesTheSameBits() throws {
    let tokens = prompt(2, 90)
    var keeping = options()
    keeping.keepsSequences = true
    let first = try generate([GenerationRequest(prompt: Array(tokens[..<70]), index: 0, samples: 1)], keeping)[0][0]
    let sequence = try #require(first.sequence)
    #expect(sequence.length == 70 + first.tokens.count - 1)
    let longer = Array(tokens[..<70]) + first.tokens + tokens[70...]
    let past = GenerationRequest(prompt: longer, index: 1, samples: 2, past: sequence)
    let fresh = GenerationRequest(prompt: longer, index: 1, samples: 2)
    expectSame(try generate([past], options())[0], try generate([fresh], options())[0])
  }

  @Test func finishedAnswersHoldNoKeysAndValuesUnlessAsked() throws {
    #expect(try generate(requests, options()).joined().allSatisfy { $0.sequence == nil })
  }

  @Test func theEndTokenEndsTheAnswerAndIsItsLast() throws {
    let open = try generate([GenerationRequest(prompt: prompt(3, 5), index: 0, samples: 1)], options())[0][0]
    let end = open.tokens[4]
    let closed = try generate(
      [GenerationRequest(prompt: prompt(3, 5), index: 0, samples: 1)], options(end: [end]))[0][0]
    #expect(closed.finish == .stop)
    #expect(closed.tokens.last == end)
    #expect(open.tokens.starts(with: closed.tokens))
  }

  @Test func aRequestsOwnLimitGoesFirst() throws {
    let tokens = prompt(3, 5)
    let whole = try generate([GenerationRequest(prompt: tokens, index: 0, samples: 2)], options())[0]
    let cut = try generate([GenerationRequest(prompt: tokens, index: 0, samples: 2, maximumTokens: 3)], options())[0]
    #expect(cut.map(\.tokens) == whole.map { Array($0.tokens.prefix(3)) })
  }

  @Test func refusesWhatDoesNotFit() throws {
    let long = GenerationRequest(prompt: prompt(4, 250), index: 0, samples: 1)
    #expect(throws: LlamaError.contextExceeded(needed: 261, limit: 256)) { try generate([long], options()) }
    #expect(throws: LlamaError.contextExceeded(needed: .max, limit: 256)) {
      try generate([long], options(tokens: .max))
    }
    #expect(throws: LlamaError.emptySequence) {
      try generate([GenerationRequest(prompt: [], index: 0, samples: 1)], options())
    }
  }

  @Test func stopsWhenAsked() throws {
    var stopping = options()
    stopping.isCancelled = { true }
    #expect(throws: CancellationError.self) { try generate(requests, stopping) }
  }
}
