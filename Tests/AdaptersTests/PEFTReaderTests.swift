import Adapters
import Foundation
import Tensors
import TestSupport
import Testing

struct PEFTReaderTests {
  private typealias Tensor = HandmadeFolder.Tensor

  /// Rank 1 on the value layer of the first block, whose rows have one order everywhere.
  static func onePair(_ layer: String = "model.layers.0.self_attn.v_proj") -> [HandmadeFolder.Tensor] {
    [
      .init(name: "base_model.model.\(layer).lora_A.weight", matrix: Matrix(1, 16, Seeded(3).floats(16))),
      .init(name: "base_model.model.\(layer).lora_B.weight", matrix: Matrix(8, 1, Seeded(4).floats(8))),
    ]
  }

  @Test(arguments: [RotaryPairs.neighbours, .halves])
  func whatIsExportedIsReadToTheBit(pairs: RotaryPairs) throws {
    let folder = try temporaryFolder()
    let adapter = Small.adapter(rank: 3, alpha: 7)
    try adapter.write(gguf: folder + "/a.gguf")
    try adapter.writePEFT(folder: folder + "/peft", headDim: Small.headDim, pairs: pairs, baseName: "some/base")
    let back = try LoRAAdapter.read(folder + "/peft", for: Small.base(pairs))
    #expect(back.canonicalBytes == adapter.canonicalBytes)
    #expect(back.origin.base == "some/base")
    // The folder with a slash, and the file in it, mean the same.
    for path in [folder + "/peft/", folder + "/peft/adapter_model.safetensors"] {
      #expect(try LoRAAdapter.read(path, for: Small.base(pairs)).canonicalBytes == adapter.canonicalBytes)
    }
    #expect(try LoRAAdapter.read(folder + "/a.gguf", for: Small.base(pairs)).canonicalBytes == adapter.canonicalBytes)
  }

  /// Independent of our writer: row 1 of a head in GGUF is the first of the second half in Hugging Face's order.
  @Test func rowsOfQueryAndKeyAreMovedWhereTheArchitectureNeedsIt() throws {
    for (layer, rows) in [("q_proj", 16), ("k_proj", 8)] {
      let b = Matrix(rows, 1, (0..<rows).map(Float.init))
      let tensors = [
        Tensor(
          name: "base_model.model.model.layers.1.self_attn.\(layer).lora_A.weight",
          matrix: Matrix(1, 16, Seeded(3).floats(16))),
        Tensor(name: "base_model.model.model.layers.1.self_attn.\(layer).lora_B.weight", matrix: b),
      ]
      let permuted = try read(tensors).modules[0].b.values
      let places = [0, 2, 1, 3]
      let wanted: [Float] = (0..<rows).map { row in Float(row / 4 * 4 + places[row % 4]) }
      #expect(permuted == wanted)
      #expect(try read(tensors, Small.base(.halves)).modules[0].b.values == b.values)
    }
  }

  @Test(arguments: [WeightFormat.f32, .f16, .bf16])
  func halvesAreReadAsFloats(format: WeightFormat) throws {
    let values: [Float] = [1, -0.5, 0.25, 3, 2, -4, 8, 0.125]  // exact in all of them
    var pair = Self.onePair()
    pair[1] = Tensor(name: pair[1].name, matrix: Matrix(8, 1, values), format: format)
    #expect(try read(pair).modules[0].b.values == values)
  }

  @Test func namesOfAllKindsOfWrappersAreUnderstood() throws {
    for layer in [
      "model.layers.0.self_attn.v_proj", "model.language_model.layers.0.self_attn.v_proj",
      "language_model.model.layers.0.self_attn.v_proj",
    ] {
      #expect(try read(Self.onePair(layer)).modules.map(\.name) == ["blk.0.attn_v.weight"])
    }
    let old = Self.onePair().map { pair in
      Tensor(name: pair.name.replacingOccurrences(of: ".weight", with: ".default.weight"), matrix: pair.matrix)
    }
    #expect(try read(old).modules.map(\.name) == ["blk.0.attn_v.weight"])
    let head = [
      Tensor(name: "base_model.model.lm_head.lora_A.weight", matrix: Matrix(1, 16, Seeded(3).floats(16))),
      Tensor(name: "base_model.model.lm_head.lora_B.weight", matrix: Matrix(40, 1, Seeded(3).floats(40))),
    ]
    #expect(try read(head, Small.base(isTied: false)).modules.map(\.name) == ["output.weight"])
    #expect(throws: AdapterError.tied("output")) { try read(head) }
    let embedding = [
      Tensor(name: "base_model.model.model.embed_tokens.lora_embedding_A", matrix: Matrix(1, 40, Seeded(3).floats(40))),
      Tensor(name: "base_model.model.model.embed_tokens.lora_embedding_B", matrix: Matrix(16, 1, Seeded(3).floats(16))),
    ]
    let adapter = try read(embedding, Small.base(isTied: false))
    #expect(adapter.modules.map(\.name) == ["token_embd.weight"])
    #expect(adapter.modules[0].a.values == embedding[0].matrix.values)
    #expect(throws: AdapterError.tied("token_embd")) { try read(embedding) }
  }

  // MARK: Scales

  @Test func defaultsPatternsAndRankStabilisation() throws {
    func scale(_ config: [String: Any], rank: Int = 4) throws -> Float {
      let adapter = try read(Self.pair(rank: rank), config: config)
      return adapter.scale(of: adapter.modules[0])
    }
    #expect(try scale(["r": 4, "lora_alpha": 6]) == 1.5)
    #expect(try scale([:], rank: 8) == 1)
    #expect(try scale(["r": 4, "lora_alpha": 6, "use_rslora": true]) == 3)
    #expect(try scale(["r": 2, "lora_alpha": 6, "rank_pattern": ["v_proj": 4]]) == 1.5)
    #expect(try scale(["r": 2, "lora_alpha": 6, "rank_pattern": ["v_proj": 4], "use_rslora": true]) == 3)
    for pattern in [
      "v_proj", "self_attn.v_proj", "model.layers.0.self_attn.v_proj", #".*\.[qv]_proj"#,
      "layers.[0-9].self_attn.(k|v)_proj",
    ] {
      #expect(try scale(["r": 4, "lora_alpha": 6, "alpha_pattern": [pattern: 2]]) == 0.5, "\(pattern)")
    }
    for pattern in ["proj", "_proj", "q_proj", "layers.1.self_attn.v_proj"] {
      #expect(try scale(["r": 4, "lora_alpha": 6, "alpha_pattern": [pattern: 2]]) == 1.5, "\(pattern)")
    }
    for list in [["q_proj", "v_proj"] as Any, #".*v_proj"#, "all-linear", NSNull()] {
      #expect(try scale(["r": 4, "lora_alpha": 6, "target_modules": list]) == 1.5)
    }
  }

  @Test func configurationsThatSayOtherThings() throws {
    let path = { (folder: HandmadeFolder) in folder.path + "/adapter_config.json" }
    func expect(
      _ config: [String: Any], _ location: SourceLocation = #_sourceLocation, _ error: (String) -> AdapterError
    ) throws {
      let folder = try Self.folder(Self.pair(rank: 4), config)
      #expect(throws: error(path(folder)), sourceLocation: location) {
        try LoRAAdapter.read(folder.path, for: Small.base())
      }
    }
    let layer = "model.layers.0.self_attn.v_proj"
    try expect(["r": 8]) { .configuredRank(path: $0, tensor: layer, found: 4, wanted: 8) }
    try expect(["r": 4, "rank_pattern": ["v_proj": 2]]) {
      .configuredRank(path: $0, tensor: layer, found: 4, wanted: 2)
    }
    try expect(["r": 4, "lora_alpha": 0]) { _ in .badAlpha(0) }
    try expect(["r": "4"]) { .configuration(path: $0, key: "r", wanted: "a number") }
    for rank in [0, -1, 1.5, 1e300] {
      try expect(["r": rank]) { .configuration(path: $0, key: "r", wanted: "a whole number above 0") }
    }
    try expect(["r": 4, "use_rslora": 1]) { .configuration(path: $0, key: "use_rslora", wanted: "true or false") }
    try expect(["peft_type": "LOHA"]) { .unsupported(path: $0, what: "the method LOHA") }
    try expect(["peft_type": NSNull()]) { .configuration(path: $0, key: "peft_type", wanted: "\"LORA\"") }
    try expect(["use_dora": true]) { .unsupported(path: $0, what: "DoRA ('use_dora')") }
    try expect(["modules_to_save": ["lm_head"]]) { .unsupported(path: $0, what: "whole layers ('modules_to_save')") }
    try expect(["bias": "all"]) { .unsupported(path: $0, what: "biases ('bias' is 'all')") }
    try expect(["init_lora_weights": "pissa_niter_16"]) {
      .unsupported(path: $0, what: "the start pissa, which changes the base ('init_lora_weights')")
    }
    for bad in ["(", "(a+)+", "(.*)*(.*)*", "(a|b){1,9}", ".*.*.*.*.*", String(repeating: "a", count: 257)] {
      try expect(["r": 4, "alpha_pattern": [bad: 2]]) {
        .badExpression(path: $0, key: "alpha_pattern", expression: bad)
      }
    }
    try expect(["r": 4, "alpha_pattern": ["v_proj": 2, ".*v_proj": 3]]) {
      .ambiguousPattern(path: $0, key: "alpha_pattern", tensor: layer)
    }
  }

  @Test func foldersWithoutAConfigurationOrWithAnother() throws {
    let folder = try HandmadeFolder()
    try folder.safetensors("adapter_model.safetensors", Self.onePair())
    for path in [folder.path, folder.path + "/adapter_model.safetensors"] {
      #expect(throws: AdapterError.noConfiguration(folder: folder.path, name: "adapter_config.json")) {
        try LoRAAdapter.read(path, for: Small.base())
      }
    }
    for text in ["", "{", "[]", String(repeating: "[", count: 100_000)] {
      let config = try folder.file("adapter_config.json", text.utf8)
      #expect(throws: AdapterError.configuration(path: config, key: nil, wanted: "one JSON object")) {
        try LoRAAdapter.read(folder.path, for: Small.base())
      }
    }
  }

  // MARK: Tensors

  @Test func noTensorIsDropped() throws {
    let pair = Self.onePair()
    func expect(
      _ tensors: [Tensor], _ location: SourceLocation = #_sourceLocation, _ error: (String) -> AdapterError
    ) throws {
      let folder = try Self.folder(tensors, ["r": 1, "lora_alpha": 1])
      #expect(throws: error(folder.path + "/adapter_model.safetensors"), sourceLocation: location) {
        try LoRAAdapter.read(folder.path, for: Small.base())
      }
    }
    func stray(_ name: String) -> [Tensor] { pair + [Tensor(name: name, matrix: Matrix(1, 16))] }
    let layer = "model.layers.0.self_attn.v_proj"
    try expect([pair[0]]) { .lone(path: $0, tensor: layer, missing: layer + ".lora_B.weight") }
    try expect([pair[1]]) { .lone(path: $0, tensor: layer, missing: layer + ".lora_A.weight") }
    try expect([]) { .empty(path: $0) }
    for name in [
      "base_model.model.lm_head.weight", "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight",
      "base_model.model.model.layers.00.self_attn.v_proj.lora_A.weight", "x",
      "base_model.model.model.layers.0.mlp.v_proj.lora_A.weight", "base_model.model.model.norm.weight",
    ] {
      try expect(stray(name)) { .unknownTensor(path: $0, name: name) }
    }
    let dora = "base_model.model.\(layer).lora_magnitude_vector"
    try expect(stray(dora)) { .unsupported(path: $0, what: "DoRA ('\(dora)')") }
    try expect(stray("base_model.model.model.embed_tokens.lora_embedding_A")) {
      .lone(path: $0, tensor: "model.embed_tokens", missing: "model.embed_tokens.lora_embedding_B")
    }
    try expect(stray(layer + ".lora_A.weight")) { .twice(path: $0, tensor: layer + ".lora_A.weight") }

    let turned = pair.map { Tensor(name: $0.name, matrix: $0.matrix.transposed()) }
    try expect(turned) { .transposed(path: $0, tensor: layer) }
    try expect([pair[0], Tensor(name: pair[1].name, matrix: Matrix(8, 2))]) {
      .rankMismatch(path: $0, tensor: layer, a: [1, 16], b: [8, 2])
    }
    pair[1].matrix[3, 0] = .nan
    try expect(pair) { _ in .notFinite(tensor: "blk.0.attn_v.weight.lora_b", index: 3) }
  }

  @Test func anotherBaseIsRecognised() throws {
    let wide = [
      Tensor(name: Self.onePair()[0].name, matrix: Matrix(1, 20)),
      Tensor(name: Self.onePair()[1].name, matrix: Matrix(8, 1)),
    ]
    let shape = AdapterError.shape(tensor: "blk.0.attn_v.weight", adapter: [8, 20], model: [8, 16])
    func expect(_ error: AdapterError, base: String?, model: String?) throws {
      let folder = try Self.folder(wide, ["r": 1, "lora_alpha": 1, "base_model_name_or_path": base ?? ""])
      #expect(throws: error) { try LoRAAdapter.read(folder.path, for: Small.base(name: model)) }
    }
    try expect(shape, base: nil, model: "Small")
    try expect(shape, base: "us/small-model", model: "Small Model")
    try expect(.otherBase(made: "us/large", model: "Small", shape), base: "us/large", model: "Small")
    #expect(
      "\(AdapterError.otherBase(made: "us/large", model: "Small", shape))".hasSuffix(
        "use the model it was trained on. It says that it was made over 'us/large', this model is 'Small'."))
    let deep = Self.onePair("model.layers.7.self_attn.v_proj")
    #expect(throws: AdapterError.notInModel(tensor: "blk.7.attn_v.weight")) { try read(deep) }
  }

  // MARK: Helpers

  private static func pair(rank: Int) -> [HandmadeFolder.Tensor] {
    [
      .init(name: onePair()[0].name, matrix: Matrix(rank, 16, Seeded(3).floats(16 * rank))),
      .init(name: onePair()[1].name, matrix: Matrix(8, rank, Seeded(4).floats(8 * rank))),
    ]
  }

  private static func folder(_ tensors: [HandmadeFolder.Tensor], _ config: [String: Any]) throws -> HandmadeFolder {
    let folder = try HandmadeFolder()
    try folder.json("adapter_config.json", ["peft_type": "LORA"].merging(config) { $1 })
    try folder.safetensors("adapter_model.safetensors", tensors)
    return folder
  }

  private func read(
    _ tensors: [HandmadeFolder.Tensor], _ base: LoRABase = Small.base(),
    config: [String: Any] = ["r": 1, "lora_alpha": 1]
  ) throws -> LoRAAdapter {
    try LoRAAdapter.read(Self.folder(tensors, config).path, for: base)
  }
}
