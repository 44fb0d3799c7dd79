/// Frozen pairs carry the scorer's own numbers, and the names of who made them.

import Adapters
import Foundation
import GGUF
import INPO
import Llama
import Scoring
import Tensors
import TestSupport
import Testing
import Tokenization

@Suite struct FrozenPairsTests {
  private let model: LlamaModel
  private let encoder: PromptEncoder
  private let adapter: LoRAAdapter
  private let reference: NamedPolicy
  private let last: NamedPolicy
  private let pairs: [PairRecord]

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.deviation = 0.3
    tiny.contextLength = 64
    try tiny.write(to: path)
    let file = try GGUFFile.open(path)
    guard let kernels = Kernels(threads: 1) else { preconditionFailure("there is always a best table") }
    model = try LlamaModel(file, precision: .int16, kernels: kernels)
    encoder = PromptEncoder(tokenizer: try Tokenizer(file.metadata), template: nil, raw: true)
    adapter = LoRAAdapter.fresh(architecture: "llama", rank: 2, alpha: 4, seed: 1, shapes: model.adaptable)
    for module in adapter.modules {
      for (i, value) in Seeded(5, module.name).normals(module.b.count, deviation: 0.2).enumerated() {
        module.b.buffer[i] = value
      }
    }
    reference = NamedPolicy(try Policy(model), modelSHA256: "m")
    last = NamedPolicy(try Policy(model, adapter: adapter), modelSHA256: "m")
    let (encoder, model) = (encoder, model)
    pairs = try [("Hello?", "Yes.", "No, no."), ("Is it?", "It is not.", "So?")].map {
      try PairRecord(prompt: .text($0.0), chosen: .text($0.1), rejected: .text($0.2)).encoded(by: encoder, for: model)
    }
  }

  @Test func valuesAreTheScorersSums() throws {
    let frozen = try FrozenPairs.freeze(pairs, reference: reference, last: last)
    for (pair, before) in zip(frozen, pairs) {
      let request = ScoreRequest(
        prompt: try #require(before.promptIDs),
        responses: [try #require(before.chosenIDs), try #require(before.rejectedIDs)])
      let base = try Scorer(Policy(model)).logProbs([request])[0].map(\.logProbSum)
      let tuned = try Scorer(Policy(model, adapter: adapter)).logProbs([request])[0].map(\.logProbSum)
      #expect([pair.referenceChosenLogps, pair.referenceRejectedLogps] == base)
      #expect([pair.lastChosenLogps, pair.lastRejectedLogps] == tuned)
      #expect(base != tuned)
      #expect(pair.referenceFingerprint == reference.fingerprint && pair.lastFingerprint == last.fingerprint)
      let training = try pair.trainingPair()
      #expect([training.referenceChosen, training.referenceRejected] == base)
      #expect([training.lastChosen, training.lastRejected] == tuned)
      #expect(training.group == ScoredGroup(prompt: request.prompt, answers: request.responses))
    }
  }

  @Test func frozenPairsAreKeptAndOthersScored() throws {
    var half = try FrozenPairs.freeze(pairs, reference: reference, last: last)
    let whole = half
    // A mark that scoring again would wipe out.
    half[0].lastChosenLogps = -1
    half[1] = pairs[1]
    var passes: [Int] = []
    let frozen = try FrozenPairs.freeze(half, reference: reference, last: last, onProgress: { passes.append($0) })
    #expect(frozen[0] == half[0])
    #expect(frozen[1] == whole[1])
    #expect(passes == [1], "both policies in one pass")
  }

  @Test func pairsOfOtherPoliciesAreRefused() throws {
    let frozen = try FrozenPairs.freeze(pairs, reference: reference, last: last)
    #expect(throws: PairError.otherPolicy(field: "reference_fingerprint")) {
      try FrozenPairs.freeze(frozen, reference: last, last: last)
    }
    #expect(throws: PairError.otherPolicy(field: "last_fingerprint")) {
      try FrozenPairs.freeze(frozen, reference: reference, last: reference)
    }
  }

  @Test func aNameIsOfModelPrecisionAndAdapter() throws {
    let fresh = LoRAAdapter.fresh(architecture: "llama", rank: 2, alpha: 4, seed: 9, shapes: model.adaptable)
    let untrained = NamedPolicy(try Policy(model, adapter: fresh), modelSHA256: "m")
    #expect(untrained.fingerprint == reference.fingerprint, "B is zero: it is the base")
    let copy = NamedPolicy(try Policy(model, adapter: adapter.copy()), modelSHA256: "m")
    #expect(copy.fingerprint == last.fingerprint)
    #expect(last.fingerprint != reference.fingerprint)
    #expect(NamedPolicy(try Policy(model), modelSHA256: "n").fingerprint != reference.fingerprint)
  }

  @Test func storedPairsAreUsedForTheSameWorkOnly() throws {
    let path = try temporaryFolder() + "/pairs.jsonl"
    func stored(_ wanted: [PairRecord], reference: NamedPolicy? = nil) -> [PairRecord]? {
      FrozenPairs.stored(in: path, for: wanted, reference: reference ?? self.reference, last: last)
    }
    #expect(stored(pairs) == nil, "there is no file")
    let frozen = try FrozenPairs.freeze(pairs, reference: reference, last: last)
    try JSONLines.write(frozen, to: path)
    #expect(stored(pairs) == frozen)
    #expect(stored(pairs, reference: last) == nil)
    #expect(stored(Array(pairs.dropLast())) == nil)
    #expect(stored(pairs.reversed()) == nil)
    var other = pairs
    other[0].probability = 0.7
    #expect(stored(other) == nil)
    try JSONLines.write(pairs, to: path)
    #expect(stored(pairs) == nil, "they are not frozen")
  }

  @Test func pairsTheModelCannotScoreAreRefused() throws {
    func encoded(_ change: (inout PairRecord) -> Void) throws -> PairRecord {
      var pair = PairRecord(prompt: .text("a"), chosen: .text("b"), rejected: .text("c"))
      change(&pair)
      return try pair.encoded(by: encoder, for: model)
    }
    #expect(throws: PairError.noTokens(field: "chosen_ids")) { try encoded { $0.chosenIDs = [] } }
    #expect(throws: LlamaError.token(259, vocabulary: 259)) { try encoded { $0.rejectedIDs = [3, 259] } }
    #expect(throws: LlamaError.contextExceeded(needed: 65, limit: 64)) {
      try encoded { ($0.promptIDs, $0.chosenIDs) = ([1], .init(repeating: 5, count: 65)) }
    }
    #expect(try encoded { ($0.promptIDs, $0.chosenIDs) = ([1], .init(repeating: 5, count: 64)) }.isEven == false)
    #expect(try encoded { $0.rejected = .text("b") }.isEven)
    #expect(try encoded { _ in }.trainingPair().lastChosen.isNaN, "it is not frozen")
    #expect(throws: PairError.notEncoded) {
      try PairRecord(prompt: .text("a"), chosen: .text("b"), rejected: .text("c")).trainingPair()
    }
  }
}
