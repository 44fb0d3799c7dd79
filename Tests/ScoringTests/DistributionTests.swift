import Adapters
import Foundation
import GGUF
import Llama
import Scoring
import Tensors
import TestSupport
import Testing

/// Entropies, alternatives and several policies: as each would be alone, and as the whole distribution says.
struct DistributionTests {
  private let file: GGUFFile

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.isTied = false
    tiny.format = { _ in .q8_0 }
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
      ScoreRequest(prompt: ids(8, 9), responses: [ids(9, 3), ids(10, 90)]),
    ]
  }

  private func run(_ scorer: Scorer, _ requests: [ScoreRequest], top: Int? = 3) throws -> [[[ResponseScore]]] {
    var results: [[[ResponseScore]]] = []
    try scorer.run(requests, top: top) { index, scores in
      #expect(index == results.count, "results come in the order given")
      results.append(scores)
    }
    return results
  }

  /// The distribution by asking for every token alone: as many requests as there are tokens.
  @Test func entropyAndAlternativesAreThoseOfTheWholeDistribution() throws {
    let scorer = Scorer(try Policy(model()))
    let prompt = ids(8, 12)
    let every = ScoreRequest(prompt: prompt, responses: (0..<259).map { [TokenID($0)] })
    let logps = try scorer.logProbs([every], isCancelled: { false })[0].map { $0[0] }
    let scored = try run(scorer, [ScoreRequest(prompt: prompt, responses: [[5]])], top: 7)
    let found = try #require(scored[0][0][0].distributions?.first)
    let want = -logps.reduce(0.0) { $0 + exp(Double($1)) * Double($1) }
    // A log-prob below 16 in size is rounded by at most 2⁻²¹, e to it by as much of itself, and that weighs up to 16 in the sum.
    expectClose(found.entropy, want, absolute: 17 * 0x1p-21)
    let order = logps.indices.sorted { (-logps[$0], $0) < (-logps[$1], $1) }.prefix(7)
    #expect(found.top == order.map { TokenLogProb(token: TokenID($0), logp: logps[$0]) })
    #expect(found.logp == logps[5])
  }

  @Test(arguments: [1, 7, 64, 512], [1, 2])
  func packingMemoryAndThreadsChangeNoBit(rows: Int, threads: Int) throws {
    let whole = try run(Scorer(Policy(model()), ScorePlan(passRows: 4096)), requests)
    for pageBytes in [1, 1 << 20, ScorePlan.usualPageBytes] {
      let scorer = Scorer(try Policy(model(threads: threads)), ScorePlan(passRows: rows, pageBytes: pageBytes))
      #expect(try run(scorer, requests) == whole)
      #expect(try run(scorer, requests.reversed()) == whole.reversed())
    }
    for (request, scores) in zip(requests, whole) {
      for (response, score) in zip(request.responses, scores[0]) {
        let alone = ScoreRequest(prompt: request.prompt, responses: [response])
        #expect(try run(Scorer(Policy(model())), [alone]) == [[[score]]], "a shared prompt changes no bit")
      }
    }
  }

  @Test func askingForMoreChangesNoLogProb() throws {
    let scorer = Scorer(try Policy(model()))
    let plain = try run(scorer, requests, top: nil)
    let detailed = try run(scorer, requests, top: 5)
    #expect(plain.map { $0.map { $0.map(\.logps) } } == detailed.map { $0.map { $0.map(\.logps) } })
    #expect(plain.joined().joined().allSatisfy { $0.distributions == nil })
    for score in detailed.joined().joined() {
      #expect(score.distributions?.map(\.logp) == score.logps)
      for one in score.distributions ?? [] {
        #expect(one.top.count == 5 && one.top[0].logp >= one.logp)
        #expect(one.entropy > 0 && one.entropy < log(259))
      }
    }
  }

  /// Of a server it is known that adapters on the head changed what it sampled but not what it scored.
  @Test(arguments: [
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "output.weight", "token_embd",
  ])
  func anAdapterOnAnyLayerShows(layer: String) throws {
    let model = try model()
    let shapes = model.adaptable.filter { $0.name.contains(layer) && ($0.name != "output.weight" || layer == $0.name) }
    #expect(shapes.contains { !$0.name.contains("norm") })
    let base = try Policy(model)
    let adapted = try Policy(model, adapter: adapter(shapes))
    let alone = try [base, adapted].map { try run(Scorer($0), requests).map { $0[0] } }
    let together = try run(Scorer([base, adapted]), requests)
    for index in requests.indices {
      #expect(together[index] == alone.map { $0[index] })
      for (plain, changed) in zip(alone[0][index], alone[1][index]) where !plain.logps.isEmpty {
        #expect(plain.logps != changed.logps)
      }
    }
  }

  private func adapter(_ shapes: [LoRAShape]) -> LoRAAdapter {
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 2, alpha: 4, seed: 2, shapes: shapes)
    for module in adapter.modules {
      let zero = module.name == "token_embd.weight" ? module.a : module.b
      for (i, value) in Seeded(2, module.name).normals(zero.count, deviation: 0.2).enumerated() {
        zero.buffer[i] = value
      }
    }
    return adapter
  }

  @Test func aCancelledTaskEnds() async throws {
    let path = file
    let request = requests[0]
    await Task {
      withUnsafeCurrentTask { $0?.cancel() }
      #expect(throws: CancellationError.self) {
        let kernels = try #require(Kernels(threads: 1))
        let model = try LlamaModel(path, precision: .int16, kernels: kernels)
        _ = try Scorer(Policy(model)).logProbs([request])
      }
    }.value
  }
}
