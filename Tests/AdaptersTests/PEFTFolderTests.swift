import Adapters
import Foundation
import Tensors
import TestSupport
import Testing

struct PEFTFolderTests {
  private static let prefix = "base_model.model.model.layers."

  @Test func everyTensorIsUnderItsHuggingFaceName() throws {
    let adapter = Small.adapter(rank: 3, alpha: 6)
    let tensors = try exported(adapter).tensors
    let layers =
      ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
      + ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    let names = (0..<2).flatMap { block in
      layers.flatMap { ["\(block).\($0).lora_A.weight", "\(block).\($0).lora_B.weight"] }
    }
    #expect(Set(tensors.keys) == Set(names.map { Self.prefix + $0 }))
    // All but B of q and k are the same bytes.
    for (module, layer) in zip(adapter.modules, (0..<2).flatMap { block in layers.map { "\(block).\($0)" } }) {
      let a = try #require(tensors[Self.prefix + layer + ".lora_A.weight"])
      #expect(a.shape == [3, module.a.columns] && a.values == module.a.values)
      let b = try #require(tensors[Self.prefix + layer + ".lora_B.weight"])
      #expect(b.shape == [module.b.rows, 3])
      if !layer.hasSuffix("q_proj"), !layer.hasSuffix("k_proj") { #expect(b.values == module.b.values) }
    }
  }

  @Test func rowsOfQueryAndKeyAreInHuggingFaceOrder() throws {
    let adapter = Small.adapter(rank: 3, alpha: 6)
    let tensors = try exported(adapter).tensors
    for (index, layer, heads) in [(0, "q_proj", Small.heads), (1, "k_proj", Small.kvHeads)] {
      let gguf = adapter.modules[index].b
      let hf = try #require(tensors[Self.prefix + "0.self_attn.\(layer).lora_B.weight"])
      // gguf_row[h·D + 2i + j] = hf_row[h·D + j·D/2 + i], D the head width.
      let d = Small.headDim
      for h in 0..<heads {
        for i in 0..<(d / 2) {
          for j in 0..<2 {
            let hfRow = h * d + j * d / 2 + i
            #expect(Array(gguf.row(h * d + 2 * i + j)) == Array(hf.values[(hfRow * 3)..<(hfRow * 3 + 3)]))
          }
        }
      }
    }
  }

  /// Qwen's files have Hugging Face's own order.
  @Test func rowsThatTurnInHalvesStayWhereTheyAre() throws {
    let adapter = Small.adapter(rank: 3, alpha: 6)
    let tensors = try exported(adapter, pairs: .halves).tensors
    for (index, layer) in ["q_proj", "k_proj"].enumerated() {
      let hf = try #require(tensors[Self.prefix + "0.self_attn.\(layer).lora_B.weight"])
      #expect(hf.values == adapter.modules[index].b.values)
    }
  }

  @Test func theConfigurationSaysWhatPEFTNeeds() throws {
    let config = try exported(Small.adapter(rank: 4, alpha: 6), baseName: "some/base \"x\"\n").config
    let wanted: NSDictionary = [
      "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "some/base \"x\"\n", "r": 4,
      "lora_alpha": 6, "lora_dropout": 0, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
      "init_lora_weights": true, "use_rslora": false, "use_dora": false, "modules_to_save": NSNull(),
      "rank_pattern": NSDictionary(), "alpha_pattern": NSDictionary(), "revision": NSNull(),
      "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    ]
    #expect(config == wanted)
  }

  @Test func onlyAdaptedLayersAreTargets() throws {
    let all = Small.adapter(rank: 4, alpha: 0)
    let some = all.modules.filter { $0.name.contains("attn_v") || $0.name.contains("ffn_down") }
    let config = try exported(LoRAAdapter(architecture: "llama", alpha: 0, modules: some)).config
    #expect(config["target_modules"] as? [String] == ["v_proj", "down_proj"])
    #expect(config["lora_alpha"] as? Double == 4)  // alpha 0 scales by 1
    #expect(config["base_model_name_or_path"] as? String == "")
  }

  @Test(arguments: [0, 6] as [Float])
  func differentRanksBecomeOneWithTheSameProduct(alpha: Float) throws {
    let adapter = Small.adapter(alpha: alpha) { $0.contains("attn") ? 2 : 4 }
    let (tensors, config) = try exported(adapter)
    #expect(config["r"] as? Int == 4)
    let scale = try #require(config["lora_alpha"] as? Double) / 4
    let module = adapter.modules[2]  // attn_v, whose rows keep their order
    let a = try #require(tensors[Self.prefix + "0.self_attn.v_proj.lora_A.weight"])
    let b = try #require(tensors[Self.prefix + "0.self_attn.v_proj.lora_B.weight"])
    #expect(a.shape == [4, 16] && b.shape == [8, 4])
    let got = product(b.values, a.values, rank: 4).map { scale * $0 }
    let want = product(module.b.values, module.a.values, rank: 2).map { Double(adapter.scale(of: module)) * $0 }
    // B is rounded once after its factor, which is rounded twice: 3 · 2⁻²⁴ of sums of two products of at most 3 each.
    expectClose(got, want, absolute: 6 * 3 * 0x1p-24)
  }

  @Test func exportsAreTheSameBytesEveryTime() throws {
    let (one, two) = (try temporaryFolder(), try temporaryFolder())
    for folder in [one, two] {
      try Small.adapter(rank: 2, alpha: 3).writePEFT(folder: folder, headDim: 4, pairs: .neighbours, baseName: nil)
    }
    #expect(FileManager.default.contentsEqual(atPath: one, andPath: two))
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: one).sorted() == [
        "README.md", "adapter_config.json", "adapter_model.safetensors",
      ])
  }

  @Test func wishesThatCannotBeFulfilledAreNamed() throws {
    let adapter = Small.adapter(rank: 2, alpha: 3)
    let folder = try temporaryFolder() + "/peft"
    for (headDim, tensor, rows) in [(1, "attn_q", 16), (6, "attn_q", 16), (16, "attn_k", 8), (0, "attn_q", 16)] {
      #expect(throws: AdapterError.heads(tensor: "blk.0.\(tensor).weight", rows: rows, headDim: headDim)) {
        try adapter.writePEFT(folder: folder, headDim: headDim, pairs: .neighbours, baseName: nil)
      }
    }
    #expect(throws: AdapterError.baseNameIsPath("/models/x")) {
      try adapter.writePEFT(folder: folder, headDim: 4, pairs: .neighbours, baseName: "/models/x")
    }
    #expect(!FileManager.default.fileExists(atPath: folder))
    #expect(throws: FileError.self) {
      try adapter.writePEFT(folder: folder + "/deep/er", headDim: 4, pairs: .neighbours, baseName: nil)
    }
  }

  @Test func theCardSaysWhereTheAdapterComesFrom() throws {
    var adapter = Small.adapter(rank: 2, alpha: 3)
    adapter.origin = LoRAOrigin(
      base: "Small | model\n# x", facts: ["method": "inpo", "eta": "0.005", "tau": "0.0016", "data": "abcd"])
    let folder = try temporaryFolder()
    try adapter.writePEFT(folder: folder, headDim: 4, pairs: .neighbours, baseName: "us/small")
    let card = try String(contentsOfFile: folder + "/README.md", encoding: .utf8)
    for line in [
      "base_model: \"us/small\"", "| base | us/small |", "| rank | 2 |", "| alpha | 3.0 |", "| method | inpo |",
      "| η | 0.005 |", "| τ | 0.0016 |", "| data (SHA-256) | abcd |",
    ] {
      #expect(card.components(separatedBy: "\n").contains(line), "\(line) is not in:\n\(card)")
    }
    try adapter.writePEFT(folder: folder, headDim: 4, pairs: .neighbours, baseName: nil)
    let nameless = try String(contentsOfFile: folder + "/README.md", encoding: .utf8)
    #expect(!nameless.contains("base_model:") && nameless.contains("| base | Small \\| model # x |"))
  }

  @Test(arguments: [WeightFormat.f16, .bf16])
  func halvesAreWrittenAndRead(format: WeightFormat) throws {
    let adapter = Small.adapter(rank: 3, alpha: 6)
    let folder = try temporaryFolder() + "/peft"
    try adapter.writePEFT(folder: folder, headDim: 4, pairs: .neighbours, baseName: nil, format: format)
    let back = try LoRAAdapter.read(folder, for: Small.base())
    for (one, two) in zip(back.modules, adapter.modules) {
      #expect(format.encoded(one.a.values) == format.encoded(two.a.values))
      #expect(format.encoded(one.b.values) == format.encoded(two.b.values))
      #expect(one.a.values != two.a.values)
    }
  }

  // MARK: Reading it back

  private struct Tensor {
    let shape: [Int]
    let values: [Float]
  }

  private func exported(
    _ adapter: LoRAAdapter, pairs: RotaryPairs = .neighbours, baseName: String? = nil
  ) throws -> (tensors: [String: Tensor], config: NSDictionary) {
    let folder = try temporaryFolder() + "/peft"
    try adapter.writePEFT(folder: folder, headDim: Small.headDim, pairs: pairs, baseName: baseName)
    let json = try Data(contentsOf: URL(fileURLWithPath: folder + "/adapter_config.json"))
    let config = try #require(try JSONSerialization.jsonObject(with: json) as? NSDictionary)

    let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/adapter_model.safetensors"))
    let length = Int(data.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) })
    let start = 8 + length
    #expect(start.isMultiple(of: 8))
    var header = try #require(
      try JSONSerialization.jsonObject(with: data[8..<start]) as? [String: [String: Any]])
    #expect(header.removeValue(forKey: "__metadata__") as? [String: String] == ["format": "pt"])
    var tensors: [String: Tensor] = [:]
    var end = 0
    for (name, facts) in header {
      let shape = try #require(facts["shape"] as? [Int])
      let offsets = try #require(facts["data_offsets"] as? [Int])
      #expect(facts["dtype"] as? String == "F32")
      #expect(offsets[1] - offsets[0] == 4 * shape.reduce(1, *))
      let bytes = data[(start + offsets[0])..<(start + offsets[1])]
      let values = stride(from: bytes.startIndex, to: bytes.endIndex, by: 4).map { at in
        Float(bitPattern: bytes[at..<(at + 4)].reversed().reduce(0) { $0 << 8 | UInt32($1) })
      }
      tensors[name] = Tensor(shape: shape, values: values)
      end = max(end, offsets[1])
    }
    #expect(start + end == data.count)
    return (tensors, config)
  }

  /// B [8, rank] · A [rank, 16] in double precision.
  private func product(_ b: [Float], _ a: [Float], rank: Int) -> [Double] {
    (0..<(8 * 16)).map { index in
      let (row, column) = (index / 16, index % 16)
      var sum = 0.0
      for r in 0..<rank { sum += Double(b[row * rank + r]) * Double(a[r * 16 + column]) }
      return sum
    }
  }
}
