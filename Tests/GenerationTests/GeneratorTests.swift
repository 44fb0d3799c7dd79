import Foundation
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
  private let tokenizer: Tokenizer

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.deviation = 0.3
    try tiny.write(to: path)
    let file = try GGUFFile.open(path)
    model = try LlamaModel(file, precision: .int16, kernels: #require(Kernels(threads: 1)))
    tokenizer = try Tokenizer(file.metadata)
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
    try Generator(policy, options, tokenizer: tokenizer).run(requests) { place, samples in
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

  /// The policy itself; what looks at probabilities; what looks back, strikes by chance, or follows what was drawn.
  private static let samplers: [SamplerConfig] = {
    var remembering = SamplerConfig(temperature: 0.9)
    remembering.penalties = Penalties(repetition: 1.2, frequency: 0.1)
    remembering.dry.multiplier = 0.8
    remembering.xtc = XTC(probability: 0.5, threshold: 0.01)
    remembering.mirostat = Mirostat(target: 3)
    return [SamplerConfig(), SamplerConfig(temperature: 0.8, topK: 20, topP: 0.9), remembering]
  }()

  @Test(arguments: samplers)
  func aRequestAloneIsTheSameAsAmongOthers(sampler: SamplerConfig) throws {
    let together = try generate(requests, options(sampler))
    for (request, samples) in zip(requests, together) {
      expectSame(try generate([request], options(sampler))[0], samples)
    }
    let reversed = try generate(requests.reversed(), options(sampler))
    for (a, b) in zip(reversed.reversed(), together) { expectSame(a, b) }
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

  /// From the least that one answer of the longest prompt can do with to enough for all.
  @Test(arguments: [0, 1, 3, 100])
  func memoryChangesNothing(morePages: Int) throws {
    let all = try generate(requests, options())
    var tight = options()
    tight.memory = try leastMemory(for: requests, tight) + morePages * KVSequence.pageBytes(model)
    for (a, b) in zip(all, try generate(requests, tight)) { expectSame(a, b) }
  }

  /// Found by asking: an answer that does not fit is refused with what it needs.
  private func leastMemory(for requests: [GenerationRequest], _ options: GenerationOptions) throws -> Int {
    var options = options
    options.memory = 1
    while true {
      do {
        _ = try generate(requests, options)
        return options.memory
      } catch GenerationError.memory(let needed, let budget) {
        #expect(budget == options.memory && needed > budget)
        options.memory = needed
      }
    }
  }

  @Test func longPromptsAreRunInPieces() throws {
    // With little memory a pass has 64 rows; the prompt of 200 takes several, beside answers that go on meanwhile.
    let mixed = [
      GenerationRequest(prompt: prompt(5, 4), index: 0, samples: 3),
      GenerationRequest(prompt: prompt(6, 200), index: 1, samples: 2),
    ]
    var tight = options()
    tight.memory = try leastMemory(for: mixed, tight) + 12 * KVSequence.pageBytes(model)
    for (a, b) in zip(try generate(mixed, options()), try generate(mixed, tight)) { expectSame(a, b) }
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

  // MARK: Text and stop strings

  @Test func theTextIsThatOfTheTokensBeforeTheStopString() throws {
    let request = GenerationRequest(prompt: prompt(7, 6), index: 3, samples: 6)
    let open = try generate([request], options(tokens: 40))[0]
    #expect(open.allSatisfy { $0.text == tokenizer.decode($0.tokens, skipSpecial: true) })
    // Two bytes that came next to each other, and others that never did.
    let bytes = open.map { $0.tokens.flatMap { tokenizer.isSpecial($0) ? [] : tokenizer.bytes(of: $0) } }
    let ascii = try #require(
      bytes[0].indices.dropFirst(3).dropLast().first { bytes[0][$0] < 128 && bytes[0][$0 + 1] < 128 })
    let stop = String(decoding: bytes[0][ascii...(ascii + 1)], as: UTF8.self)
    var stopping = options(tokens: 40)
    stopping.stopStrings = ["never this", stop, stop + "x"]
    var shown = [String](repeating: "", count: 6)
    var closed: [Sample] = []
    try Generator(policy, stopping, tokenizer: tokenizer).run(
      [request],
      onToken: {
        shown[$0.sample] += $0.text
        #expect(!shown[$0.sample].contains(stop), "no part of a stop string is ever shown")
        if $0.finish == nil { #expect(shown[$0.sample].utf8.last != stop.utf8.first) }
      }, onFinish: { closed = $1 })
    #expect(closed[0].finish == .stop)
    for (sample, answer) in closed.enumerated() {
      #expect(open[sample].tokens.starts(with: answer.tokens), "token ids stay as they were drawn")
      #expect(shown[sample] == answer.text)
      let whole = tokenizer.decode(answer.tokens, skipSpecial: true)
      if answer.finish == .stop {
        #expect(whole == answer.text + stop, "the text ends where the stop string begins")
      } else {
        #expect(whole == answer.text && answer.tokens.count == 40)
      }
    }
  }

  // MARK: The stream

  @Test func aStreamGivesTheSameTokens() async throws {
    let all = try generate(requests, options())
    var tokens = requests.map { [[TokenID]](repeating: [], count: $0.samples) }
    var text = requests.map { [String](repeating: "", count: $0.samples) }
    var ended = 0
    for try await token in try Generator.stream(policy, requests, options(), tokenizer: tokenizer) {
      tokens[token.request][token.sample].append(token.token)
      text[token.request][token.sample] += token.text
      #expect(token.logProb == all[token.request][token.sample].logProbs[tokens[token.request][token.sample].count - 1])
      if token.finish != nil { ended += 1 }
    }
    #expect(tokens == all.map { $0.map(\.tokens) })
    #expect(text == all.map { $0.map(\.text) })
    #expect(ended == 9)
  }

  /// README's example, compiled, run, and compared with the README.
  @Test func theWorkedExampleRuns() async throws {
    let (promptIDs, tuned) = (tokenizer.encode("Hello", parseSpecial: false), policy)
    var shown = ""
    func print(_ text: String, terminator: String) { shown += text + terminator }

    // begin
    let options = GenerationOptions(
      sampler: SamplerConfig(), seed: 1, maximumTokens: 64, endTokens: tokenizer.endTokens)
    let sampling = GenerationRequest(prompt: promptIDs, index: 0, samples: 1)
    for try await token in try Generator.stream(tuned, [sampling], options, tokenizer: tokenizer) {
      print(token.text, terminator: "")
    }
    // end

    #expect(try shown == generate([sampling], options)[0][0].text)
    #expect(!shown.isEmpty)

    let here = URL(fileURLWithPath: #filePath)
    let source = try String(contentsOf: here, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(source.firstIndex { $0.hasSuffix("// begin") })
    let end = try #require(source.firstIndex { $0.hasSuffix("// end") })
    let example = source[(begin + 1)..<end].map { $0.dropFirst(4) }.joined(separator: "\n")
    let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    #expect(readme.contains(example))
  }

  @Test func aStreamThrowsWhatTheRunThrows() async throws {
    let empty = [GenerationRequest(prompt: [], index: 0, samples: 1)]
    await #expect(throws: LlamaError.emptySequence) {
      for try await _ in try Generator.stream(policy, empty, options()) {}
    }
  }

  @Test(.timeLimit(.minutes(10))) func leavingAStreamEndsTheWork() async throws {
    // Work for hours, unless leaving ends it. Each question whether to stop is counted.
    let asked = Counter()
    var counting = options(tokens: 200)
    counting.isCancelled = {
      asked.add()
      return false
    }
    let request = GenerationRequest(prompt: prompt(1, 3), index: 0, samples: 100_000)
    for try await _ in try Generator.stream(policy, [request], counting) { break }
    var (before, now) = (0, asked.value)
    while before != now {
      try await Task.sleep(for: .milliseconds(200))
      (before, now) = (now, asked.value)
    }
    #expect(now > 0)
  }
}

/// The lock guards the number.
private final class Counter: @unchecked Sendable {
  private let lock = NSLock()
  private var count = 0
  var value: Int { lock.withLock { count } }
  func add() { lock.withLock { count += 1 } }
}
