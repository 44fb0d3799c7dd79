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
    let whole = try Scorer(policy, maximumRows: 4096).logProbs(requests, isCancelled: { false })
    #expect(try Scorer(policy, maximumRows: rows).logProbs(requests, isCancelled: { false }) == whole)
  }

  @Test func theNumberOfThreadsChangesNoBit() throws {
    let one = try Scorer(Policy(model(threads: 1))).logProbs(requests, isCancelled: { false })
    let two = try Scorer(Policy(model(threads: 2))).logProbs(requests, isCancelled: { false })
    #expect(one == two)
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
