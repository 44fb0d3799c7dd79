/// A token's log-probability depends on the model, the adapter and the ids before it. On nothing else, to the bit.

import Adapters
import Generation
import Llama
import Scoring
import Tensors
import TestSupport
import Testing

@Suite struct OneForwardTests {
  /// Around the edges of a page of 64 positions, and two pages and a bit.
  private static let promptLengths = [1, 63, 64, 65, 130]

  /// Answers sampled in one batch, with the log-probs the generator saw.
  private struct Sampled {
    let policy: Policy
    let requests: [ScoreRequest]
    let logProbs: [[[Float]]]
  }

  private func sample(_ model: LlamaModel, past: Int = 0) throws -> Sampled {
    let policy = try Policy(model, adapter: .random(model, rank: 3))
    let options = GenerationOptions(
      sampler: SamplerConfig(temperature: 0.8, topK: 50), seed: 4, maximumTokens: 70, endTokens: [2, 3],
      maximumSequences: 7)
    let requests = try Self.promptLengths.filter { $0 > past }.enumerated().map { index, length in
      let prompt = model.tokens(length, seed: UInt64(length))
      let earlier = KVSequence(policy)
      _ = try ForwardPass(model)([Run(earlier, prompt.prefix(past), wanted: false)])
      return GenerationRequest(prompt: prompt, index: index, samples: 3, past: past > 0 ? earlier : nil)
    }
    var answers: [[Sample]] = []
    try Generator(policy, options).run(requests) { answers.append($1) }
    return Sampled(
      policy: policy,
      requests: zip(requests, answers).map { ScoreRequest(prompt: $0.prompt, responses: $1.map(\.tokens)) },
      logProbs: answers.map { $0.map(\.logProbs) })
  }

  private func expectSame(
    _ got: [[[Float]]], _ want: [[[Float]]], _ what: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(got.map(bits) == want.map(bits), "\(what)", sourceLocation: sourceLocation)
  }

  @Test(
    arguments: [Tiny.float, .bytes, .nibbles, .kQuants, .qwen2, .qwen3, .granite, .mistral3, .uneven],
    Precision.allCases)
  func sampledTokensScoreTheSame(tiny: Tiny, precision: Precision) throws {
    let sampled = try sample(tiny.load(precision))
    let (policy, requests) = (sampled.policy, sampled.requests)
    #expect(requests.allSatisfy { $0.responses.allSatisfy { !$0.isEmpty } })
    #expect(Set(requests.flatMap(\.responses)).count > requests.count, "the samples of a prompt should differ")

    let scorer = Scorer(policy)
    expectSame(try scorer.logProbs(requests), sampled.logProbs, "in one batch")
    expectSame(try scorer.logProbs(requests.reversed()), sampled.logProbs.reversed(), "in another order")
    for (request, want) in zip(requests, sampled.logProbs) {
      expectSame(try scorer.logProbs([request]), [want], "prompt of \(request.prompt.count) by itself")
      for (response, want) in zip(request.responses, want) {
        let alone = ScoreRequest(prompt: request.prompt, responses: [response])
        expectSame(try scorer.logProbs([alone]), [[want]], "one answer by itself")
      }
    }
    for rows in [1, 7, 64, 512] {
      expectSame(
        try Scorer(policy, ScorePlan(passRows: rows)).logProbs(requests), sampled.logProbs,
        "at most \(rows) rows at once")
    }
  }

  /// Heads of 64 keep their keys and values in any format. The answers grow out of a past that is not whole pages.
  @Test(arguments: [KVFormat.f16, .q8_0]) func roundedKeysAndValuesScoreTheSame(kv: KVFormat) throws {
    let model = try Tiny.kQuants.load(kv: kv)
    let sampled = try sample(model, past: 62)
    expectSame(try Scorer(sampled.policy).logProbs(sampled.requests), sampled.logProbs, "in one batch")
    expectSame(try Scorer(sampled.policy, ScorePlan(passRows: 7)).logProbs(sampled.requests), sampled.logProbs, "cut")
    try expectTrainersForward(sampled)
    let tokens = model.tokens(70)
    let exact = try Policy(Tiny.kQuants.load()).logProbs(tokens)
    #expect(bits(try Policy(model).logProbs(tokens)) != bits(exact), "\(kv) should round")
  }

  @Test(arguments: [1, 62, 64]) func aReusedPastGivesTheSameAnswers(past: Int) throws {
    let model = try Tiny.bytes.load()
    let reused = try sample(model, past: past)
    #expect(reused.requests.count >= 2)
    expectSame(try Scorer(reused.policy).logProbs(reused.requests), reused.logProbs, "a past of \(past)")
  }

  @Test(arguments: Precision.allCases) func theTrainersForwardIsTheScorers(precision: Precision) throws {
    try expectTrainersForward(sample(Tiny.nibbles.load(precision)))
  }

  private func expectTrainersForward(_ sampled: Sampled) throws {
    let groups = sampled.requests.map { ScoredGroup(prompt: $0.prompt, answers: $0.responses) }
    for kept in [TrainingPass.Kept.nothing, .init(attention: 1, feedForward: 2)] {
      let pass = TrainingPass(sampled.policy, maximumRows: groups.reduce(0) { $0 + $1.rows }, kept: kept)
      expectSame(try pass.forward(groups), sampled.logProbs, "packed, \(kept)")
      for (group, want) in zip(groups, sampled.logProbs) {
        expectSame(try pass.forward([group]), [want], "prompt of \(group.prompt.count), \(kept)")
      }
    }
  }

  /// A prompt is run once for all its answers, which share its whole pages and copy the rest; none of them can tell.
  @Test(arguments: [(Tiny.bytes, KVFormat.f32), (.kQuants, .f32), (.kQuants, .f16), (.kQuants, .q8_0)])
  func sharingAPromptChangesNoBit(tiny: Tiny, kv: KVFormat) throws {
    let model = try tiny.load(kv: kv)
    let policy = try Policy(model, adapter: .random(model, rank: 3))
    let lengths = [1, 20, 63, 64, 65, 128, 200]
    let groups = lengths.enumerated().map { i, length in
      model.group(prompt: length, answers: [56, 1, 2, 50], seed: UInt64(i + 1))
    }
    let want = try groups.map { group in
      try group.answers.map { Array(try policy.logProbs(group.prompt + $0).suffix($0.count)) }
    }
    let pass = TrainingPass(policy, maximumRows: groups.reduce(0) { $0 + $1.rows }, kept: .nothing)
    expectSame(try pass.forward(groups), want, "packed")
    expectSame(try pass.forward(groups.reversed()), want.reversed(), "packed in another order")
    for (group, want) in zip(groups, want) {
      expectSame(try pass.forward([group]), [want], "prompt of \(group.prompt.count)")
      #expect(group.rows == group.prompt.count + 55 + 0 + 1 + 49)
    }
    let requests = groups.map { ScoreRequest(prompt: $0.prompt, responses: $0.answers) }
    expectSame(try Scorer(policy).logProbs(requests), want, "by the scorer")
  }

  /// The scalar kernels on one thread are the specification.
  @Test(arguments: Tiny.allCases.map { ($0, KVFormat.f32) } + [(.kQuants, .f16), (.kQuants, .q8_0)])
  func tablesAndThreadsGiveTheSameBits(tiny: Tiny, kv: KVFormat) throws {
    let file = try tiny.file()
    func score(_ table: String, _ threads: Int, _ precision: Precision) throws -> [[[Float]]] {
      let model = try file.load(precision, kv: kv, table: table, threads: threads)
      let request = ScoreRequest(
        prompt: model.tokens(66), responses: [model.tokens(5, seed: 2), model.tokens(90, seed: 3)])
      return try Scorer(Policy(model, adapter: .random(model, rank: 3))).logProbs([request])
    }
    for precision in Precision.allCases {
      let specification = try score("scalar", 1, precision)
      for table in Kernels.available {
        for threads in [1, 2, 3] {
          expectSame(try score(table, threads, precision), specification, "\(table), \(threads) threads, \(precision)")
        }
      }
    }
  }

  @Test(arguments: Tiny.allCases) func logitsAndLogProbsAgree(tiny: Tiny) throws {
    let model = try tiny.load()
    let tokens = model.tokens(20)
    let (policy, pass) = (try Policy(model), ForwardPass(model))
    let hidden = try pass([Run(KVSequence(policy), tokens.dropLast(), wanted: true)])
    let (logits, logSum) = Head(model).logits(hidden)
    let want = try Head(model).logProbs(hidden, targets: Array(tokens.dropFirst()))
    #expect(bits((0..<19).map { logits[$0, Int(tokens[$0 + 1])] - logSum[$0] }) == bits(want))
  }

  /// Forks go on separately: what one appends, in a last page they shared too, no other sees. Each takes two turns, so
  /// that one that wrote into another's page would be read by it.
  @Test(arguments: [1, 62, 63, 64, 65]) func forksAreIndependent(length: Int) throws {
    let model = try Tiny.bytes.load()
    let (policy, pass) = (try Policy(model), ForwardPass(model))
    let prompt = model.tokens(length)
    let trunk = KVSequence(policy)
    _ = try pass([Run(trunk, prompt, wanted: false)])
    let all = [trunk, trunk.fork(), trunk.fork()]
    let turns = (0..<2).map { turn in all.indices.map { model.tokens(2, seed: UInt64(10 + 3 * turn + $0)) } }
    for (sequence, tokens) in zip(all, turns[0]) { _ = try pass([Run(sequence, tokens, wanted: false)]) }
    for (i, sequence) in all.enumerated() {
      let got = try pass([Run(sequence, turns[1][i], wanted: true)]).values
      let want = try pass([Run(KVSequence(policy), prompt + turns[0][i] + turns[1][i], wanted: true)]).values
      #expect(bits(got) == bits(want.suffix(got.count)), "sequence \(i)")
      #expect(sequence.length == length + 4)
    }
  }

  // MARK: Adapters

  @Test(arguments: Precision.allCases) func scaleZeroAndFreshAdaptersAreTheBase(precision: Precision) throws {
    let model = try Tiny.bytes.load(precision)
    let tokens = model.tokens(70)
    let base = bits(try Policy(model).logProbs(tokens))
    let random = LoRAAdapter.random(model, rank: 3)
    let fresh = LoRAAdapter.fresh(architecture: "llama", rank: 4, alpha: 8, seed: 1, shapes: model.adaptable)
    #expect(bits(try Policy(model, adapter: random, scale: 0).logProbs(tokens)) == base)
    #expect(bits(try Policy(model, adapter: fresh).logProbs(tokens)) == base)
    #expect(bits(try Policy(model, adapter: random).logProbs(tokens)) != base)
  }

  @Test func refreshTakesTheAdapterAsItIsNow() throws {
    let model = try Tiny.bytes.load()
    let tokens = model.tokens(30)
    let adapter = LoRAAdapter.random(model, rank: 2)
    let policy = try Policy(model, adapter: adapter)
    let before = bits(try policy.logProbs(tokens))
    for module in adapter.modules {
      for i in 0..<module.a.count { module.a.pointer[i] *= 1.5 }
      for i in 0..<module.b.count { module.b.pointer[i] += 0.01 }
    }
    #expect(bits(try policy.logProbs(tokens)) == before)
    policy.refresh()
    let after = bits(try policy.logProbs(tokens))
    #expect(after == bits(try Policy(model, adapter: adapter).logProbs(tokens)))
    #expect(after != before)
  }
}
