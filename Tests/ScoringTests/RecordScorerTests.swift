import Adapters
import Foundation
import GGUF
import Generation
import Llama
import Scoring
import Tensors
import TestSupport
import Testing
import Tokenization

/// Sampling and scoring are one forward: what was sampled scores to the same bits, in any company.
struct RecordScorerTests {
  private let model: LlamaModel
  private let policy: Policy
  private let encoder: PromptEncoder

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.deviation = 0.3
    tiny.chatTemplate = Self.template
    try tiny.write(to: path)
    let file = try GGUFFile.open(path)
    model = try LlamaModel(file, precision: .int16, kernels: #require(Kernels(threads: 1)))
    policy = try Policy(model)
    encoder = PromptEncoder(
      tokenizer: try Tokenizer(file.metadata), template: try ChatTemplate.inFile(file.metadata), raw: false)
  }

  private static let template =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

  private func sampled(_ prompts: [String], samples: Int) throws -> [ResponseRecord] {
    let options = GenerationOptions(
      sampler: SamplerConfig(temperature: 0.9, topP: 0.95), seed: 3, maximumTokens: 9,
      endTokens: encoder.tokenizer.endTokens, isCancelled: { false })
    var records: [ResponseRecord] = []
    try PromptSampler(policy, encoder: encoder, options: options).run(
      prompts.map { PromptRecord(id: .string($0), prompt: .text($0)) }, samples: samples
    ) { records.append($0) }
    return records
  }

  private func score(
    _ lines: [Data], reference: Policy? = nil, perToken: Bool = true
  ) throws -> [ScoredRecord] {
    let records = try JSONLines.parse(ScoreRecord.self, Data(lines.joined()), file: "test")
    var scored: [ScoredRecord] = []
    let scorer = RecordScorer(policy, reference: reference, encoder: encoder, detail: ScoreDetail(perToken: perToken))
    try scorer.run(records, isCancelled: { false }, onRecord: { scored.append($0) })
    return scored
  }

  private func json(_ record: ScoredRecord) throws -> [String: JSONValue] {
    try JSONDecoder().decode([String: JSONValue].self, from: JSONLines.line(record))
  }

  private static let prompts = ["a", "Name three colours.", String(repeating: "long ", count: 20), "é?"]

  @Test func sampledAnswersScoreToTheSameBits() throws {
    let records = try sampled(Self.prompts, samples: 3)
    #expect(records.map { $0.prompt.prompt } == Self.prompts.map { .text($0) }, "records keep the order of the prompts")
    let scored = try score(records.map { try JSONLines.line($0) })
    for (record, result) in zip(records, scored) {
      #expect(result.scores.count == 3)
      for (response, score) in zip(record.responses, result.scores) {
        #expect(score.tokenIDs == response.tokenIDs)
        #expect(score.logps.map(\.bitPattern) == response.logps?.map(\.bitPattern))
        #expect(score.logp == response.logp)
      }
    }
  }

  @Test func neitherOrderNorNeighboursMatter() throws {
    let lines = try sampled(Self.prompts, samples: 2).map { try JSONLines.line($0) }
    let together = try score(lines)
    let reversed = try score(lines.reversed())
    for (i, line) in lines.enumerated() {
      let alone = try score([line])[0]
      #expect(alone.scores.map(\.logps) == together[i].scores.map(\.logps))
      #expect(alone.scores.map(\.logps) == reversed[lines.count - 1 - i].scores.map(\.logps))
    }
  }

  @Test func idsWinOverText() throws {
    let line = Data(#"{"prompt":"x","prompt_ids":[70,71],"response":"other words","response_ids":[80,81,82]}"#.utf8)
    let result = try score([line])[0]
    #expect(result.scores.map(\.tokenIDs) == [[80, 81, 82]])
    let direct = try Scorer(policy).logProbs([ScoreRequest(prompt: [70, 71], responses: [[80, 81, 82]])])
    #expect(result.scores[0].logps == direct[0][0])
  }

  @Test func textEndsWithTheTurnEnd() throws {
    let result = try score([Data(#"{"prompt":"x","response":"yes"}"#.utf8)])[0]
    #expect(result.scores[0].tokenIDs == encoder.tokenizer.encode("yes<|im_end|>", parseSpecial: true))
    #expect(!result.splitInsideToken)
  }

  @Test func oneResponseGetsTheDesignsFieldsAndKeepsItsOwn() throws {
    let line = Data(#"{"id":7,"prompt":"x","response":"yes","note":{"a":[1,2.5,null]}}"#.utf8)
    let result = try score([line], reference: policy)[0]
    let fields = try json(result)
    #expect(
      Set(fields.keys) == [
        "id", "prompt", "response", "note", "logp", "tokens", "reference_logp", "ratio", "token_ids", "token_logps",
        "reference_token_logps",
      ])
    #expect(fields["note"] == .object(["a": .array([.integer(1), .number(2.5), .null])]))
    #expect(fields["tokens"] == .integer(4))
    #expect(result.scores[0].ratio == 0, "a policy is no distance from itself")
    let short = try json(try score([line], perToken: false)[0])
    #expect(Set(short.keys) == ["id", "prompt", "response", "note", "logp", "tokens"])
  }

  @Test func aPairGetsSumsAndTheirRatio() throws {
    let adapter = try otherPolicy()
    let line = Data(#"{"prompt":"x","chosen":"yes","rejected":[{"role":"assistant","content":"no!"}]}"#.utf8)
    let result = try score([line], reference: adapter, perToken: false)[0]
    let fields = try json(result)
    #expect(
      Set(fields.keys) == [
        "prompt", "chosen", "rejected", "chosen_logps", "rejected_logps", "reference_chosen_logps",
        "reference_rejected_logps", "ratio",
      ])
    let (up, down) = (try #require(result.scores[0].ratio), try #require(result.scores[1].ratio))
    #expect(up != 0 && down != 0)
    #expect(fields["ratio"] == .number(up - down))
  }

  @Test func policyAndReferenceAreScoredAsEachAlone() throws {
    let other = try otherPolicy()
    let lines = try sampled(Self.prompts, samples: 2).map { try JSONLines.line($0) }
    let alone = try score(lines)
    let records = try JSONLines.parse(ScoreRecord.self, Data(lines.joined()), file: "test")
    var others: [ScoredRecord] = []
    try RecordScorer(other, encoder: encoder).run(records, isCancelled: { false }, onRecord: { others.append($0) })
    for (i, result) in try score(lines, reference: other).enumerated() {
      #expect(result.scores.map(\.logps) == alone[i].scores.map(\.logps))
      #expect(result.scores.map(\.referenceLogps) == others[i].scores.map { Optional($0.logps) })
      #expect(result.scores.allSatisfy { $0.ratio != 0 })
    }
  }

  // MARK: Several policies, whole texts, faults

  @Test func namedPoliciesStandUnderTheirNames() throws {
    let other = try otherPolicy()
    let lines = [
      Data((#"{"prompt":"x","response":"yes"}"# + "\n").utf8),
      Data((#"{"prompt":"x","chosen":"yes","rejected":"no!"}"# + "\n").utf8),
      Data(#"{"prompt":"x","responses":[{"text":"yes"}],"policies":7}"#.utf8),
    ]
    let records = try JSONLines.parse(ScoreRecord.self, Data(lines.joined()), file: "test")
    var scored: [ScoredRecord] = []
    let scorer = RecordScorer([("base", policy), ("tuned", other)], reference: "base", encoder: encoder)
    try scorer.run(records, isCancelled: { false }, onRecord: { scored.append($0) })
    let alone = try score(lines, reference: other)
    let fields = try scored.map(json)
    let ratio = -(try #require(alone[0].scores[0].ratio))
    let (base, tuned) = (alone[0].scores[0].logp, try #require(alone[0].scores[0].referenceLogp))
    let one = JSONValue.object([
      "base": .object(["logp": .number(base)]), "tuned": .object(["logp": .number(tuned), "ratio": .number(ratio)]),
    ])
    #expect(fields[0] == ["prompt": .string("x"), "response": .string("yes"), "tokens": .integer(4), "policies": one])
    guard case .object(let pair) = fields[1]["policies"], case .object(let side) = pair["tuned"] else {
      Issue.record("no policies: \(fields[1])")
      return
    }
    #expect(Set(side.keys) == ["chosen_logps", "rejected_logps", "ratio"])
    let (up, down) = (alone[1].scores[0].ratio ?? .nan, alone[1].scores[1].ratio ?? .nan)
    #expect(side["ratio"] == .number(-up - -down))
    #expect(fields[2]["scores"] == .array([.object(["tokens": .integer(4), "policies": one])]))
    #expect(fields[2]["policies"] == .integer(7), "a field of the record that is not ours to write stays")
  }

  @Test func aWholeTextBeginsWithNull() throws {
    let records = try JSONLines.parse(ScoreRecord.self, Data(#"{"text":"yes!","id":1}"#.utf8), file: "test")
    var scored: [ScoredRecord] = []
    let detail = ScoreDetail(entropy: true, top: 2)
    try RecordScorer(policy, encoder: encoder, detail: detail).run(
      records + [ScoreRecord(text: "yes!")], isCancelled: { false }, onRecord: { scored.append($0) })
    let fields = try json(scored[0])
    #expect(
      Set(fields.keys) == [
        "text", "id", "logp", "tokens", "token_ids", "token_logps", "token_entropies", "token_top",
      ])
    let ids = encoder.tokenizer.encode("yes!", parseSpecial: true)
    let logps = try Scorer(policy).logProbs([ScoreRequest(prompt: [ids[0]], responses: [Array(ids[1...])])])[0][0]
    #expect(fields["token_ids"] == .array(ids.map { .integer(Int64($0)) }))
    #expect(scored.map { $0.scores[0].logps } == [logps, logps])
    for name in ["token_logps", "token_entropies", "token_top"] {
      guard case .array(let values) = fields[name] else {
        Issue.record("\(name) is no list")
        continue
      }
      #expect(values.count == 4 && values[0] == .null && !values.dropFirst().contains(.null), "\(name)")
    }
    #expect(fields["tokens"] == .integer(3))
  }

  @Test func recordsAtFaultAreLeftOutAndHarmNoOthers() throws {
    let lines = [
      #"{"prompt":"x","response":"yes"}"#, #"{"prompt_ids":[],"response_ids":[70]}"#,
      #"{"prompt_ids":[70],"response_ids":[80,99999]}"#, #"{"text":""}"#, #"{"prompt":"x","response":"no!"}"#,
      "{\"text\":\"\(String(repeating: "long ", count: 60))\"}", #"{"prompt_ids":[70],"response":"a"}"#,
      #"{"prompt_ids":[70],"response_ids":[]}"#, #"{"prompt":"x","chosen":"a","rejected_ids":[]}"#,
      #"{"token_ids":[70]}"#,
    ].map { Data(($0 + "\n").utf8) }
    let records = try JSONLines.parse(ScoreRecord.self, Data(lines.joined()), file: "test")
    var faults: [RecordFault] = []
    var scored: [ScoredRecord] = []
    try RecordScorer(policy, encoder: encoder).run(
      records, onFault: { faults.append($0) }, isCancelled: { false }, onRecord: { scored.append($0) })
    #expect(faults.map(\.index) == [1, 2, 3, 5, 6, 7, 8, 9])
    #expect(
      faults.map { "\($0.reason)" } == [
        LlamaError.emptySequence.description, LlamaError.token(99999, vocabulary: 259).description,
        LlamaError.emptySequence.description, LlamaError.contextExceeded(needed: 299, limit: 256).description,
        ScoreError.noTokens.description,
      ] + [String](repeating: ScoreError.emptyAnswer.description, count: 3))
    #expect(try scored.map(json) == score([lines[0], lines[4]], perToken: false).map(json))
  }

  private func otherPolicy() throws -> Policy {
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 2, alpha: 4, seed: 2, shapes: model.adaptable)
    for module in adapter.modules {
      for (i, value) in Seeded(2, module.name).normals(module.b.count, deviation: 0.2).enumerated() {
        module.b.buffer[i] = value
      }
    }
    return try Policy(model, adapter: adapter)
  }

  @Test func aBadRecordIsNamedByItsPlace() throws {
    let lines = [
      Data((#"{"prompt":"x","response":"yes"}"# + "\n").utf8),
      Data(#"{"prompt":"x","response_ids":[80,99999]}"#.utf8),
    ]
    do {
      _ = try score(lines)
      Issue.record("a token outside the vocabulary was scored")
    } catch let fault as RecordFault {
      #expect(fault.index == 1)
      #expect(fault.reason as? LlamaError == .token(99999, vocabulary: model.vocabularySize))
    }
  }

  @Test(arguments: [
    #"{"response":"a"}"#, #"{"prompt":"a"}"#, #"{"prompt":"a","chosen":"b"}"#, #"{"prompt":"a","responses":"b"}"#,
  ])
  func aLineWithoutPromptOrAnswerIsRefused(line: String) {
    #expect(throws: RecordError.self) { try score([Data(line.utf8)]) }
  }

  @Test func twoSamplesAreTheFirstTwoOfFour() throws {
    let four = try sampled(Self.prompts, samples: 4)
    let two = try sampled(Self.prompts, samples: 2)
    for (a, b) in zip(four, two) { #expect(Array(a.responses.prefix(2)) == b.responses) }
  }
}
