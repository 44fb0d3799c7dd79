/// What a model file, a token or a length can get wrong: the exact error, and nothing is changed by it.

import Adapters
import GGUF
import Llama
import Scoring
import Tensors
import TestSupport
import Testing

@Suite struct ErrorTests {
  /// A tiny model with some keys replaced.
  private func load(_ keys: [String: GGUFValue], context: Int? = nil) throws -> LlamaModel {
    var writer = Tiny.float.model.writer()
    for (key, value) in keys { writer.set(key, value) }
    return try LlamaModel(writer.file(), precision: .int16, kernels: kernels(), context: context)
  }

  @Test func missingTensor() {
    #expect(throws: GGUFError.missingTensor("blk.3.attn_norm.weight")) {
      try load(["llama.block_count": .uint32(4)])
    }
  }

  /// The file's matrix is `[128, 64]`.
  @Test func wrongShape() {
    #expect(throws: LlamaError.shape(tensor: "blk.0.ffn_gate.weight", found: [128, 64], expected: [96, 64])) {
      try load(["llama.feed_forward_length": .uint32(96)])
    }
    #expect(throws: LlamaError.shape(tensor: "blk.0.attn_k.weight", found: [32, 64], expected: [64, 64])) {
      try load(["llama.attention.head_count_kv": .uint32(4)])
    }
    #expect(throws: LlamaError.shape(tensor: "token_embd.weight", found: [2100, 64], expected: [2100, 128])) {
      try load(["llama.embedding_length": .uint32(128), "llama.rope.dimension_count": .uint32(32)])
    }
  }

  @Test func wrongSideTensors() throws {
    var writer = Tiny.halves.model.writer()
    writer.add(name: "rope_freqs.weight", dimensions: [5], floats: [1, 1, 1, 1, 1])
    let file = try writer.file()
    #expect(throws: LlamaError.shape(tensor: "rope_freqs.weight", found: [5], expected: [8])) { try file.load() }

    var zero = Tiny.halves.model.writer()
    zero.add(name: "rope_freqs.weight", dimensions: [8], floats: [1, 1, 0, 1, 1, 1, 1, 1])
    let other = try zero.file()
    #expect(throws: LlamaError.inconsistent("rope_freqs.weight[2] is 0.0, not a positive number")) {
      try other.load()
    }

    var head = Tiny.halves.model.writer()
    head.add(name: "output.weight", dimensions: [64, 3], floats: [Float](repeating: 0, count: 192))
    let third = try head.file()
    #expect(throws: LlamaError.shape(tensor: "output.weight", found: [3, 64], expected: [259, 64])) {
      try third.load()
    }
  }

  @Test func otherArchitectures() {
    #expect(throws: LlamaError.architecture("mamba")) { try load(["general.architecture": .string("mamba")]) }
  }

  @Test(arguments: [
    "llama.expert_count", "llama.attention.sliding_window", "llama.attention.scale", "llama.rope.scale_linear",
    "llama.logit_scale", "llama.embedding_scale", "llama.residual_scale",
  ])
  func keysThatChangeTheArithmeticAreRefused(key: String) {
    #expect(throws: LlamaError.unsupported(key: key)) { try load([key: .float32(2)]) }
  }

  @Test func ropeScalingIsRefusedUnlessNone() throws {
    #expect(throws: LlamaError.unsupported(key: "llama.rope.scaling.type")) {
      try load(["llama.rope.scaling.type": .string("yarn")])
    }
    #expect(try load(["llama.rope.scaling.type": .string("none")]).config.blockCount == 3)
  }

  @Test(
    arguments: [
      (["llama.attention.head_count_kv": .uint32(3)], "4 query heads cannot share 3 key/value heads"),
      (["llama.attention.head_count": .uint32(5)], "embedding length 64 is not a multiple of 5 heads"),
      (
        ["llama.attention.key_length": .uint32(15), "llama.rope.dimension_count": .uint32(15)],
        "a head is 15 wide; rotary heads are even and at most 256 wide"
      ),
      (
        ["llama.attention.key_length": .uint32(258)], "a head is 258 wide; rotary heads are even and at most 256 wide"
      ),
      (["llama.rope.dimension_count": .uint32(8)], "llama.rope.dimension_count is 8, but a head is 16 wide"),
      (["llama.attention.value_length": .uint32(8)], "llama.attention.value_length is 8, but a head is 16 wide"),
      (
        ["llama.attention.layer_norm_rms_epsilon": .float32(.nan)], "the norm epsilon nan is not a positive number"
      ),
      (["llama.attention.layer_norm_rms_epsilon": .float32(0)], "the norm epsilon 0.0 is not a positive number"),
      (["llama.rope.freq_base": .float32(-1)], "the rotary base -1.0 is not a positive number"),
    ] as [([String: GGUFValue], String)])
  func contradictions(keys: [String: GGUFValue], sentence: String) {
    #expect(throws: LlamaError.inconsistent(sentence)) { try load(keys) }
  }

  @Test func missingAndSenselessNumbers() throws {
    // More blocks than tensors, and sizes whose products would overflow: refused before anything is allocated for them.
    for (key, value) in [
      ("llama.block_count", UInt32.max), ("llama.block_count", 100_000), ("llama.attention.head_count", .max),
      ("llama.embedding_length", .max), ("llama.feed_forward_length", .max),
    ] {
      #expect("\(key) \(value)") {
        try load([key: .uint32(value)])
      } throws: { error in
        if case LlamaError.inconsistent = error { true } else { false }
      }
    }
    // A context no memory could hold a table for costs nothing until it is used.
    #expect(try load(["llama.context_length": .uint32(.max)]).context == Int(UInt32.max))
    #expect(throws: GGUFError.notPositive(key: "llama.block_count", value: 0)) {
      try load(["llama.block_count": .uint32(0)])
    }
    #expect(throws: GGUFError.missingKey("llama.embedding_length")) {
      var metadata = GGUFMetadata()
      metadata.set("general.architecture", .string("llama"))
      return try LlamaConfig(metadata)
    }
  }

  @Test func aContextBeyondTheModels() throws {
    #expect(throws: LlamaError.contextExceeded(needed: 257, limit: 256)) { try load([:], context: 257) }
    #expect(try load([:], context: 20).context == 20)
  }

  @Test func headsThatAreNotBlocks() throws {
    #expect(throws: LlamaError.headNotInBlocks(.q8_0, headDim: 16)) { try Tiny.float.load(kv: .q8_0) }
    #expect(try Tiny.float.load(kv: .f16).kv == .f16)
  }

  // MARK: Running

  @Test func aTokenOutsideTheVocabularyChangesNothing() throws {
    let model = try Tiny.bytes.load()
    let (policy, pass) = (try Policy(model), ForwardPass(model))
    let (sequence, other) = (KVSequence(policy), KVSequence(policy))
    _ = try pass([Run(sequence, model.tokens(3), wanted: false)])
    #expect(throws: LlamaError.token(259, vocabulary: 259)) {
      try pass([Run(other, [1, 2], wanted: true), Run(sequence, [5, 259], wanted: true)])
    }
    #expect((sequence.length, other.length) == (3, 0))
    let got = try pass([Run(sequence, [5], wanted: true)]).values
    let want = try pass([Run(KVSequence(policy), model.tokens(3) + [5], wanted: true)]).values
    #expect(bits(got) == bits(want.suffix(got.count)))

    #expect(throws: LlamaError.token(400, vocabulary: 259)) {
      try Head(model).logProbs(HiddenRows(Matrix(1, 64), policy), targets: [400])
    }
    #expect(throws: LlamaError.token(300, vocabulary: 259)) {
      try TrainingPass(Policy(model, adapter: .random(model, rank: 1)), maximumRows: 9, kept: .nothing)
        .forward([ScoredGroup(prompt: [1], answers: [[2], [300]])])
    }
  }

  @Test func beyondTheContextChangesNothing() throws {
    let model = try LlamaModel(Tiny.bytes.file(), precision: .int16, kernels: kernels(), context: 20)
    let (policy, pass) = (try Policy(model), ForwardPass(model))
    let sequence = KVSequence(policy)
    _ = try pass([Run(sequence, model.tokens(18), wanted: false)])
    #expect(throws: LlamaError.contextExceeded(needed: 21, limit: 20)) {
      try pass([Run(sequence, [1, 2, 3], wanted: true)])
    }
    // Nor by two runs together.
    #expect(throws: LlamaError.contextExceeded(needed: 21, limit: 20)) {
      try pass([Run(sequence, [1, 2], wanted: true), Run(sequence, [3], wanted: true)])
    }
    #expect(sequence.length == 18)
    let got = try pass([Run(sequence, [1], wanted: true), Run(sequence, [2], wanted: true)]).values
    let want = try pass([Run(KVSequence(policy), model.tokens(18) + [1, 2], wanted: true)]).values
    #expect(bits(got) == bits(want.suffix(got.count)))
  }

  /// The last token of an answer predicts nothing, so it needs no position: what fits when it is sampled fits when it is
  /// scored and trained on.
  @Test func anAnswerMayEndOnePositionBeyondTheContext() throws {
    let model = try LlamaModel(Tiny.bytes.file(), precision: .int16, kernels: kernels(), context: 20)
    let policy = try Policy(model, adapter: .random(model, rank: 1))
    let (fits, beyond) = (model.group(prompt: 15, answers: [2, 6]), model.group(prompt: 15, answers: [7, 2]))
    let pass = TrainingPass(policy, maximumRows: 40, kept: .nothing)
    let scorer = Scorer(policy)
    #expect(try pass.forward([fits])[0].map(\.count) == [2, 6])
    #expect(
      try scorer.logProbs([ScoreRequest(prompt: fits.prompt, responses: fits.answers)])[0].map(\.count) == [2, 6])
    #expect(throws: LlamaError.contextExceeded(needed: 21, limit: 20)) { try pass.forward([beyond]) }
    #expect(throws: LlamaError.contextExceeded(needed: 21, limit: 20)) {
      try scorer.logProbs([ScoreRequest(prompt: beyond.prompt, responses: beyond.answers)])
    }
  }

  @Test func anAdapterOfAnotherModelIsRefused() throws {
    let model = try Tiny.bytes.load()
    let wider = try LoRAAdapter.random(Tiny.kQuants.load(), rank: 2, only: { $0 == "blk.1.attn_q.weight" })
    #expect(throws: AdapterError.shape(tensor: "blk.1.attn_q.weight", adapter: [256, 256], model: [64, 64])) {
      try Policy(model, adapter: wider)
    }
    let deeper = LoRAAdapter(
      architecture: "llama", alpha: 1,
      modules: [LoRAModule(name: "blk.9.attn_q.weight", a: Matrix(1, 64), b: Matrix(64, 1))])
    #expect(throws: AdapterError.notInModel(tensor: "blk.9.attn_q.weight")) { try Policy(model, adapter: deeper) }
  }

  @Test func sentencesSayWhatToDo() {
    let all: [LlamaError] = [
      .architecture("mamba"), .unsupported(key: "k"), .inconsistent("a is b"),
      .shape(tensor: "t", found: [1], expected: [2]), .token(9, vocabulary: 8),
      .contextExceeded(needed: 2, limit: 1), .emptySequence,
      .headNotInBlocks(.q8_0, headDim: 16),
    ]
    #expect(
      "\(all[3])" == "Tensor 't' is [1], but the metadata asks for [2]. The file was probably converted wrongly.")
    #expect(Set(all.map(\.description)).count == all.count)
  }
}
