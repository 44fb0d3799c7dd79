import Adapters
import Evaluation
import Foundation
import GGUF
import Llama
import Scoring
import Tensors
import TestSupport
import Testing
import Tokenization

/// Perplexity is the scorer's log-probs over a text, and distances are those of whole distributions.
struct PerplexityTests {
  private let folder: String
  private let file: GGUFFile
  private let model: LlamaModel

  init() throws {
    folder = try temporaryFolder()
    var tiny = TinyModel()
    tiny.deviation = 0.3
    try tiny.write(to: folder + "/tiny.gguf")
    file = try GGUFFile.open(folder + "/tiny.gguf")
    model = try LlamaModel(file, precision: .int16, kernels: #require(Kernels(threads: 1)))
  }

  private func ids(_ seed: UInt64, _ count: Int) -> [TokenID] {
    Seeded(seed).integers(count, below: 259).map(TokenID.init)
  }

  private func adapted() throws -> Policy {
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 2, alpha: 4, seed: 2, shapes: model.adaptable)
    for module in adapter.modules {
      for (i, value) in Seeded(2, module.name).normals(module.b.count, deviation: 0.1).enumerated() {
        module.b.buffer[i] = value
      }
    }
    return try Policy(model, adapter: adapter)
  }

  @Test(arguments: [(8, 4), (8, 1), (8, 7), (2, 1), (64, 32)], [2, 8, 9, 13, 64, 65, 200])
  func everyTokenButTheFirstIsScoredOnce(sizes: (context: Int, stride: Int), count: Int) throws {
    let ranges = try TextWindows(context: sizes.context, stride: sizes.stride).ranges(count: count)
    #expect(ranges.flatMap(\.scored) == Array(1..<count))
    for (index, (run, scored)) in ranges.enumerated() {
      #expect(run.count <= sizes.context && run.upperBound == scored.upperBound && run.lowerBound < scored.lowerBound)
      #expect(index == 0 || scored.lowerBound - run.lowerBound >= sizes.context - sizes.stride)
    }
  }

  @Test func itIsTheScorersMean() throws {
    let text = ids(1, 150)
    let windows = try TextWindows(context: 64, stride: 48)
    // By hand: 0…63, then 48…111 with 64…111 new, then 96…149 with 112…149 new.
    let logps = try Scorer(Policy(model)).logProbs(
      [(0, 1, 64), (48, 64, 112), (96, 112, 150)].map { start, new, end in
        ScoreRequest(prompt: Array(text[start..<new]), responses: [Array(text[new..<end])])
      }
    ).joined().joined().map(Double.init)
    let found = try Perplexity(Policy(model), windows: windows)(text)
    let mean = SampleMean(logps)
    #expect(found.tokens == 149 && found.meanLogp == mean.mean && found.divergence == nil)
    #expect(found.perplexity == exp(-mean.mean))
    #expect(found.standardError == found.perplexity * mean.standardError)
  }

  private func header(_ text: [TokenID], _ windows: TextWindows) throws -> ReferenceHeader {
    ReferenceHeader(text, model, try Tokenizer(file.metadata), windows: windows)
  }

  private func save(_ text: [TokenID], _ windows: TextWindows) throws -> (path: String, result: PerplexityResult) {
    let path = folder + "/reference.bin"
    let writer = try ReferenceWriter(path, header(text, windows))
    let result = try Perplexity(Policy(model), windows: windows)(text, saving: writer)
    #expect(!FileManager.default.fileExists(atPath: path), "whole or not at all")
    try writer.commit()
    return (path, result)
  }

  @Test func aModelHasNoDistanceFromItself() throws {
    let text = ids(1, 100)
    let windows = try TextWindows(context: 32, stride: 16)
    let (path, saved) = try save(text, windows)
    #expect(FileSystem.size(path) == 96 + 4 * 99 * 259)
    let perplexity = Perplexity(try Policy(model), windows: windows)
    #expect(try perplexity(text) == saved)
    let found = try perplexity(text, comparing: ReferenceReader(path, header(text, windows)))
    #expect(found.perplexity == saved.perplexity)
    let far = try #require(found.divergence)
    #expect(far.klMean == 0 && far.klMax == 0 && far.klP99 == 0 && far.klStandardError == 0)
    #expect(far.topAgreement == 1 && far.logpDeltaMax == 0 && far.logpDeltaMean == 0)
  }

  /// Against plain float64 sums over log-probs that were asked for one token at a time.
  @Test func distancesAreThoseOfTheWholeDistributions() throws {
    let text = ids(3, 14)
    let windows = try TextWindows(context: 64, stride: 32)
    let (path, _) = try save(text, windows)
    let other = try adapted()
    let found = try Perplexity(other, windows: windows)(
      text, comparing: ReferenceReader(path, header(text, windows)))
    let far = try #require(found.divergence)
    let requests = (1..<text.count).map { place in
      ScoreRequest(prompt: Array(text[..<place]), responses: (0..<259).map { [TokenID($0)] })
    }
    let both = try Scorer([Policy(model), other]).logProbsPerPolicy(requests).map {
      $0.map { $0.map { Double($0[0]) } }
    }
    let kl = zip(both[0], both[1]).map { p, q in zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) } }
    let deltas = zip(both[0], both[1]).enumerated().map { abs($1.0[Int(text[$0 + 1])] - $1.1[Int(text[$0 + 1])]) }
    // e to the reference's log-probs is taken in float, at most 2⁻²² of itself off, and weighs differences below 16.
    let bound = 16 * 0x1p-22
    expectClose(far.klMean, kl.reduce(0, +) / 13, absolute: bound)
    expectClose(far.klMax, kl.max() ?? 0, absolute: bound)
    expectClose(far.klP99, kl.max() ?? 0, absolute: bound)
    expectClose(far.klStandardError, SampleMean(kl).standardError, absolute: bound)
    #expect(far.klMean > 1e-3, "the adapter should be felt")
    #expect(far.logpDeltaMax == deltas.max())
    expectClose(far.logpDeltaMean, deltas.reduce(0, +) / 13, relative: 1e-12)
    func best(_ values: [Double]) -> Int? { values.indices.max { values[$0] < values[$1] } }
    let same = zip(both[0], both[1]).count { best($0) == best($1) }
    #expect(far.topAgreement == Double(same) / 13)
  }

  @Test func aReferenceOfSomethingElseIsRefusedByName() throws {
    let text = ids(1, 40)
    let windows = try TextWindows(context: 32, stride: 16)
    let (path, _) = try save(text, windows)
    #expect(throws: PerplexityError.otherText(path)) { try ReferenceReader(path, header(ids(2, 40), windows)) }
    #expect(throws: PerplexityError.otherWindows(path, context: 32, stride: 16)) {
      try ReferenceReader(path, header(text, TextWindows(context: 32, stride: 8)))
    }
    var other = TinyModel()
    other.tokens[200] = "another"
    let otherFile = folder + "/other.gguf"
    try other.write(to: otherFile)
    let tokenizer = try Tokenizer(GGUFFile.open(otherFile).metadata)
    #expect(throws: PerplexityError.otherVocabulary(path)) {
      try ReferenceReader(path, ReferenceHeader(text, model, tokenizer, windows: windows))
    }
    let whole = try AtomicFile.read(path)
    try AtomicFile.write(whole.dropLast(4), to: path)
    #expect(throws: PerplexityError.incomplete(path, needs: whole.count, has: whole.count - 4)) {
      try ReferenceReader(path, header(text, windows))
    }
    try AtomicFile.write("something else", to: path)
    #expect(throws: PerplexityError.notAReference(path)) { try ReferenceReader(path, header(text, windows)) }
    #expect(throws: FileError.notFound(path + "x")) { try ReferenceReader(path + "x", header(text, windows)) }
  }

  @Test func whatCannotBeMeasuredIsRefused() throws {
    #expect(throws: PerplexityError.badStride(8, context: 8)) { try TextWindows(context: 8, stride: 8) }
    #expect(throws: PerplexityError.badStride(0, context: 8)) { try TextWindows(context: 8, stride: 0) }
    let perplexity = Perplexity(try Policy(model), windows: try TextWindows(context: 300, stride: 16))
    #expect(throws: PerplexityError.tooShort) { try perplexity([5]) }
    #expect(throws: LlamaError.self) { try perplexity(ids(1, 300)) }
    #expect(throws: CancellationError.self) { try perplexity(ids(1, 30), isCancelled: { true }) }
  }
}
