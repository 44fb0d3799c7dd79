/// Several policies in one batch: each row has the bits it has alone, whatever runs beside it.

import Adapters
import Llama
import Tensors
import TestSupport
import Testing

@Suite struct MixedPolicyTests {
  /// The base, adapters of different ranks on different layers, one adapter at three scales.
  private func policies(_ model: LlamaModel) throws -> [Policy] {
    let all = LoRAAdapter.random(model, rank: 4)
    let some = LoRAAdapter.random(
      model, rank: 8, seed: 9,
      only: { $0.contains("attn_k") || $0.contains("ffn_down") || $0.hasPrefix("blk.1.attn_output") })
    return [
      try Policy(model), try Policy(model, adapter: all), try Policy(model, adapter: some),
      try Policy(model, adapter: all, scale: 0.5), try Policy(model, adapter: all, scale: 0),
    ]
  }

  /// A first part of some length and a second part that goes on from it, with their outputs when nothing runs beside them.
  private struct Job {
    let policy: Policy
    let first: [TokenID]
    let second: [TokenID]
    let want: [[UInt32]]

    init(_ policy: Policy, first: [TokenID], second: [TokenID]) throws {
      (self.policy, self.first, self.second) = (policy, first, second)
      let (pass, sequence) = (ForwardPass(policy.model), KVSequence(policy))
      want = try [first, second].map { bits(try pass([Run(sequence, $0, wanted: true)]).values) }
    }
  }

  /// Jobs whose neighbours are of other policies.
  private func jobs(_ model: LlamaModel) throws -> [Job] {
    let policies = try policies(model)
    return try [5, 1, 66].enumerated().flatMap { round, length in
      try policies.enumerated().map { index, policy in
        let seed = UInt64(2 * (round * policies.count + index))
        return try Job(
          policy, first: model.tokens(length, seed: seed), second: model.tokens(1 + index, seed: seed + 1))
      }
    }
  }

  /// - Parameter isWanted: of the first part's run number `i`.
  private func expectOwnBits(
    _ jobs: [Job], _ pass: ForwardPass, wanted isWanted: (Int) -> Bool = { _ in true },
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let sequences = jobs.map { KVSequence($0.policy) }
    let first = try pass(jobs.indices.map { Run(sequences[$0], jobs[$0].first, wanted: isWanted($0)) })
    let second = try pass(jobs.indices.map { Run(sequences[$0], jobs[$0].second, wanted: true) })
    let wanted = jobs.indices.filter(isWanted).flatMap { jobs[$0].want[0] }
    #expect(bits(first.values) == wanted, "first part", sourceLocation: sourceLocation)
    #expect(bits(second.values) == jobs.flatMap { $0.want[1] }, "second part", sourceLocation: sourceLocation)
  }

  @Test(arguments: [1, 7, 64, 512], [1, 2, 3])
  func rowsHaveTheBitsTheyHaveAlone(rows: Int, threads: Int) throws {
    for (tiny, precision) in [(Tiny.bytes, Precision.int16), (.halves, .f32)] {
      let model = try tiny.load(precision, threads: threads)
      let jobs = try jobs(model)
      let pass = ForwardPass(model, maximumRows: rows)
      try expectOwnBits(jobs, pass)
      try expectOwnBits(jobs.reversed(), pass, wanted: { !$0.isMultiple(of: 3) })
      try expectOwnBits(jobs.sorted { $0.first.count < $1.first.count }, pass)
    }
  }

  /// The room for inner products grows with the rank, and may be wider than a later adapter needs.
  @Test func ranksMayComeInAnyOrder() throws {
    let model = try Tiny.bytes.load()
    let jobs = try [3, 20, 1, 7].map { rank in
      try Job(
        Policy(model, adapter: .random(model, rank: rank)), first: model.tokens(30), second: model.tokens(2, seed: 2))
    }
    let pass = ForwardPass(model)
    for job in jobs { try expectOwnBits([job], pass) }
    try expectOwnBits(jobs, pass)
  }

  /// An adapter on one layer changes its own rows, and they are the only ones.
  @Test(arguments: LoRATarget.inBlock) func anAdapterShowsInItsRowsOnly(target: LoRATarget) throws {
    let model = try Tiny.bytes.load()
    let adapter = LoRAAdapter.random(model, rank: 4, only: { $0 == target.tensorName(block: 1) })
    #expect(adapter.modules.count == 1)
    let (base, adapted) = (try Policy(model), try Policy(model, adapter: adapter))
    let tokens = model.tokens(70)
    let outputs = try ForwardPass(model)(
      [base, adapted, base].map { Run(KVSequence($0), tokens, wanted: true) }
    ).values
    let parts = (0..<3).map { bits(Array(outputs[($0 * outputs.count / 3)..<(($0 + 1) * outputs.count / 3)])) }
    let alone = bits(try ForwardPass(model)([Run(KVSequence(base), tokens, wanted: true)]).values)
    #expect(parts[0] == alone)
    #expect(parts[2] == alone)
    // The first token sees only itself: its query and key change nothing.
    let columns = model.config.dim
    let firstChanged = target == .attnQ || target == .attnK ? 1 : 0
    for row in 0..<tokens.count {
      let range = (row * columns)..<((row + 1) * columns)
      #expect((parts[1][range] != alone[range]) == (row >= firstChanged), "row \(row)")
    }
  }

  /// Adapters on the head, of two ranks, between policies without: each row is multiplied with its own head, in log-probs and
  /// in logits.
  @Test(arguments: Precision.allCases) func everyRowHasItsPolicysHead(precision: Precision) throws {
    let model = try Tiny.nibbles.load(precision)
    func head(_ rank: Int) throws -> Policy {
      try Policy(model, adapter: .random(model, rank: rank, only: { $0 == "output.weight" }))
    }
    let policies = try [head(3), Policy(model), head(8), Policy(model, adapter: .random(model, rank: 2)), head(3)]
    let tokens = model.tokens(130)
    let targets = Array(tokens.dropFirst())
    let (pass, heads) = (ForwardPass(model), Head(model))
    let hidden = try pass(policies.map { Run(KVSequence($0), tokens.dropLast(), wanted: true) })
    let together = try heads.logProbs(hidden, targets: policies.flatMap { _ in targets })
    let (logits, logSum) = heads.logits(hidden)
    for (i, policy) in policies.enumerated() {
      let rows = (i * targets.count)..<((i + 1) * targets.count)
      let alone = bits(try policy.logProbs(tokens))
      #expect(bits(Array(together[rows])) == alone, "policy \(i)")
      #expect(bits(rows.map { logits[$0, Int(targets[$0 % targets.count])] - logSum[$0] }) == alone, "logits of \(i)")
    }
    let base = bits(Array(together[targets.count..<(2 * targets.count)]))
    #expect(bits(Array(together[..<targets.count])) != base)
    #expect(bits(Array(together.suffix(targets.count))) == bits(Array(together.prefix(targets.count))))
  }

  @Test func scaleZeroBesideScaleOneIsTheBase() throws {
    let model = try Tiny.nibbles.load()
    let adapter = LoRAAdapter.random(model, rank: 4)
    let tokens = model.tokens(40)
    let outputs = try ForwardPass(model)(
      [1, 0].map { Run(KVSequence(try Policy(model, adapter: adapter, scale: $0)), tokens, wanted: true) }
    ).values
    let base = bits(try ForwardPass(model)([Run(KVSequence(Policy(model)), tokens, wanted: true)]).values)
    #expect(bits(outputs.suffix(base.count)) == base)
    #expect(bits(Array(outputs.prefix(base.count))) != base)
  }

  /// A fork goes on under its trunk's policy.
  @Test func forksKeepThePolicy() throws {
    let model = try Tiny.bytes.load()
    let policy = try Policy(model, adapter: .random(model, rank: 2))
    let trunk = KVSequence(policy)
    _ = try ForwardPass(model)([Run(trunk, model.tokens(65), wanted: false)])
    let fork = trunk.fork()
    #expect(fork.policy === policy)
    let got = try ForwardPass(model)([Run(KVSequence(Policy(model)), [1], wanted: false), Run(fork, [4], wanted: true)])
    let want = try ForwardPass(model)([Run(KVSequence(policy), model.tokens(65) + [4], wanted: true)]).values
    #expect(bits(got.values) == bits(want.suffix(got.values.count)))
  }
}
