import Adapters
import Foundation
import GGUF
import Llama
import Scoring
import Tensors
import TestSupport
import Testing

/// Log-probs do not depend on how the work is cut or threaded, and are those of the whole distribution.
struct ScorerTests {
  private let file: GGUFFile

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.format = { $0.contains("ffn_down") ? .f16 : .q8_0 }
    tiny.deviation = 0.3
    try tiny.write(to: path)
    file = try GGUFFile.open(path)
  }

  private func model(threads: Int = 1) throws -> LlamaModel {
    try LlamaModel(file, precision: .int16, kernels: #require(Kernels(threads: threads)))
  }

  private func ids(_ seed: UInt64, _ count: Int) -> [TokenID] {
    Seeded(seed).integers(count, below: 259).map(TokenID.init)
  }

  private var requests: [ScoreRequest] {
    [
      ScoreRequest(prompt: ids(1, 70), responses: [ids(2, 5), ids(3, 66)]),
      ScoreRequest(prompt: ids(4, 1), responses: [ids(5, 64)]),
      ScoreRequest(prompt: ids(6, 64), responses: [[], ids(7, 1)]),
    ]
  }

  @Test(arguments: [1, 7, 64, 512])
  func theSizeOfAChunkChangesNoBit(rows: Int) throws {
    let policy = try Policy(model())
    let whole = try Scorer(policy, ScorePlan(passRows: 4096)).logProbs(requests, isCancelled: { false })
    #expect(try Scorer(policy, ScorePlan(passRows: rows)).logProbs(requests, isCancelled: { false }) == whole)
  }

  @Test func theNumberOfThreadsChangesNoBit() throws {
    let one = try Scorer(Policy(model(threads: 1))).logProbs(requests, isCancelled: { false })
    let two = try Scorer(Policy(model(threads: 2))).logProbs(requests, isCancelled: { false })
    #expect(one == two)
  }

  /// The base, an adapter of all layers, a wider one of two, and the first one at half its scale.
  private func policies(_ model: LlamaModel) throws -> [Policy] {
    func adapter(_ rank: Int, _ shapes: [LoRAShape]) -> LoRAAdapter {
      let adapter = LoRAAdapter.fresh(architecture: "llama", rank: rank, alpha: 8, seed: 3, shapes: shapes)
      for module in adapter.modules {
        for (i, value) in Seeded(4, module.name).normals(module.b.count, deviation: 0.2).enumerated() {
          module.b.buffer[i] = value
        }
      }
      return adapter
    }
    let all = adapter(4, model.adaptable)
    let some = adapter(8, model.adaptable.filter { $0.name.contains("attn_v") || $0.name.contains("ffn_up") })
    return [
      try Policy(model), try Policy(model, adapter: all), try Policy(model, adapter: some),
      try Policy(model, adapter: all, scale: 0.5),
    ]
  }

  @Test(arguments: [1, 7, 64, 512], [1, 2, 3])
  func policiesInOnePassGiveWhatEachGivesAlone(rows: Int, threads: Int) throws {
    let policies = try policies(model(threads: threads))
    let alone = try policies.map { try Scorer($0).logProbs(requests, isCancelled: { false }) }
    #expect(Set(alone).count == policies.count, "the policies should differ")
    let together = try Scorer(policies, ScorePlan(passRows: rows)).logProbsPerPolicy(requests, isCancelled: { false })
    #expect(together == alone)
    let other = try Scorer(policies.reversed(), ScorePlan(passRows: rows))
      .logProbsPerPolicy(requests.reversed(), isCancelled: { false })
    #expect(other == alone.reversed().map { $0.reversed() })
  }

  @Test func progressCountsRequestsNotPolicies() throws {
    var done: [Int] = []
    let scorer = Scorer(try Array(policies(model()).prefix(2)), ScorePlan(pageBytes: 1))
    _ = try scorer.logProbsPerPolicy(requests, onProgress: { done.append($0) }, isCancelled: { false })
    #expect(done == [1, 2, 3], "each request is a batch by itself")
    let results = try scorer.logProbsPerPolicy([], isCancelled: { false })
    #expect(results == [[], []], "no request, no score, under each policy")
  }

  @Test func everyTokenHasItsShapeAndTheDistributionAddsUpToOne() throws {
    let scorer = Scorer(try Policy(model()))
    let results = try scorer.logProbs(requests, isCancelled: { false })
    #expect(results.map { $0.map(\.count) } == requests.map { $0.responses.map(\.count) })
    let every = ScoreRequest(prompt: ids(8, 12), responses: (0..<259).map { [TokenID($0)] })
    let total = try scorer.logProbs([every], isCancelled: { false })[0].reduce(0.0) { $0 + exp(Double($1[0])) }
    // 259 floats near log-probs of at most 16 in size: each is off by at most 2⁻²⁰ of itself.
    #expect(abs(total - 1) < 0x1p-20)
  }

  @Test func refusesWhatHasNoLogProb() throws {
    let scorer = Scorer(try Policy(model()))
    #expect(throws: LlamaError.emptySequence) {
      try scorer.logProbs([ScoreRequest(prompt: [], responses: [[1]])], isCancelled: { false })
    }
    #expect(throws: LlamaError.token(259, vocabulary: 259)) {
      try scorer.logProbs([ScoreRequest(prompt: [1], responses: [[259]])], isCancelled: { false })
    }
    #expect(throws: LlamaError.contextExceeded(needed: 257, limit: 256)) {
      try scorer.logProbs([ScoreRequest(prompt: ids(1, 200), responses: [ids(2, 58)])], isCancelled: { false })
    }
    #expect(throws: CancellationError.self) { try scorer.logProbs(requests, isCancelled: { true }) }
  }
}
