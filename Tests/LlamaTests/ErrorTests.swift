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

  @Test(arguments: ["mamba", "gemma3", "qwen2moe", "llama4"]) func otherArchitectures(name: String) {
    #expect(throws: LlamaError.architecture(name)) { try load(["general.architecture": .string(name)]) }
    let sentence = LlamaError.architecture(name).description
    for word in [name, "llama", "mistral3", "granite", "qwen2", "qwen3"] { #expect(sentence.contains(word)) }
  }

  @Test(arguments: [
    "llama.attention.temperature_length", "llama.attention.clamp_kqv", "llama.rope.scaling.alpha",
    "llama.rope.freq_base_swa", "llama.attn_logit_softcapping", "llama.expert_weights_scale",
  ])
  func keysThatChangeTheArithmeticAreRefused(key: String) throws {
    #expect(throws: LlamaError.unsupported(key: key)) { try load([key: .float32(2)]) }
    #expect(throws: LlamaError.unsupported(key: key)) { try load([key: .bool(true)]) }
    // Those that say that there is nothing are not, nor are keys that only describe.
    for nothing in [GGUFValue.float32(0), .uint32(0), .bool(false)] {
      #expect(try load([key: nothing, "llama.tensor_data_layout": .string("x")]).config.blockCount == 3)
    }
  }

  @Test func experts() throws {
    #expect(throws: LlamaError.experts(8)) { try load(["llama.expert_count": .uint32(8)]) }
    #expect(try load(["llama.expert_count": .uint32(0)]).config.blockCount == 3)
  }

  @Test func attentionThatLooksAhead() throws {
    let key = "llama.attention.causal"
    #expect(throws: LlamaError.unsupported(key: key)) { try load([key: .bool(false)]) }
    #expect(try load([key: .bool(true)]).config.blockCount == 3)
  }

  @Test func ropeScalings() throws {
    func scaling(_ keys: [String: GGUFValue]) throws -> RopeConfig {
      try load(Dictionary(uniqueKeysWithValues: keys.map { ("llama.rope.\($0)", $1) })).config.rope
    }
    let eight = GGUFValue.float32(8)
    #expect(throws: LlamaError.ropeScaling("dynamic")) { try scaling(["scaling.type": .string("dynamic")]) }
    #expect(try scaling(["scaling.type": .string("none"), "scaling.factor": eight]).scaling == .none)
    #expect(try scaling(["scaling.factor": eight]).scaling == .linear(factor: 8))
    #expect(try scaling(["scale_linear": .float32(2)]).scaling == .linear(factor: 2))
    #expect(try scaling(["scaling.type": .string("linear")]).scaling == .none)
    #expect(
      try scaling(["scaling.type": .string("yarn"), "scaling.factor": eight]).scaling
        == .yarn(factor: 8, originalContext: 256, betaFast: 32, betaSlow: 1))
    for key in ["scaling.yarn_ext_factor", "scaling.yarn_attn_factor"] {
      #expect(throws: LlamaError.unsupported(key: "llama.rope.\(key)")) {
        try scaling(["scaling.type": .string("yarn"), key: .float32(0.5)])
      }
    }
    #expect(throws: LlamaError.inconsistent("llama.rope.scaling.factor is -1.0, not a positive number")) {
      try scaling(["scaling.factor": .float32(-1)])
    }
    #expect(throws: GGUFError.missingTensor("rope_factors_short.weight")) {
      try scaling(["scaling.type": .string("longrope")])
    }
  }

  @Test func longropeTakesTheListOfItsContext() throws {
    let file = try Tiny.uneven.file()
    func logProbs(context: Int) throws -> [UInt32] {
      let model = try LlamaModel(file, precision: .f32, kernels: kernels(), context: context)
      return bits(try Policy(model).logProbs(model.tokens(20)))
    }
    #expect(try logProbs(context: 65) == logProbs(context: 256))
    #expect(try logProbs(context: 64) == logProbs(context: 20))
    #expect(try logProbs(context: 64) != logProbs(context: 65))
  }

  @Test func sizesOfEveryBlock() throws {
    func load(_ key: String, _ values: [UInt32]) throws -> LlamaConfig {
      var writer = Tiny.uneven.model.writer()
      writer.set("llama.\(key)", .array(.uint32, values.map { .uint32($0) }))
      return try LlamaModel(writer.file(), precision: .int16, kernels: kernels()).config
    }
    let config = try load("attention.head_count", [4, 6, 2])
    #expect(config.blocks.map(\.headCount) == [4, 6, 2] && config.blocks.map(\.kvHeadCount) == [2, 1, 2])
    #expect(config.blocks.map(\.feedForward) == [128, 96, 160] && config.feedForward == 160)
    #expect(throws: LlamaError.inconsistent("llama.attention.head_count has 2 entries for 3 blocks")) {
      try load("attention.head_count", [4, 6])
    }
    #expect(throws: GGUFError.notPositive(key: "llama.feed_forward_length", value: 0)) {
      try load("feed_forward_length", [128, 0, 160])
    }
    #expect(throws: LlamaError.shape(tensor: "blk.1.attn_q.weight", found: [96, 64], expected: [64, 64])) {
      try load("attention.head_count", [4, 4, 2])
    }
  }

  /// What a program that knows it would use, it must not be ignored.
  @Test(arguments: ["blk.1.attn_sinks.weight", "output.bias", "blk.0.attn_q_norm.weight"])
  func aTensorThatNobodyReads(name: String) throws {
    var writer = Tiny.halves.model.writer()
    writer.add(name: name, dimensions: [16], floats: [Float](repeating: 0, count: 16))
    let file = try writer.file()
    #expect(throws: LlamaError.strayTensor(name)) { try file.load() }
    var old = Tiny.halves.model.writer()
    old.add(name: "blk.0.attn_rot_embd.weight", dimensions: [8], floats: [Float](repeating: 0, count: 8))
    #expect(try old.file().load().config.blockCount == 3)
  }

  @Test func aBiasOfAnotherLength() throws {
    var writer = Tiny.halves.model.writer()
    writer.add(name: "blk.2.attn_k.bias", dimensions: [16], floats: [Float](repeating: 0, count: 16))
    let file = try writer.file()
    #expect(throws: LlamaError.shape(tensor: "blk.2.attn_k.bias", found: [16], expected: [64])) { try file.load() }
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
