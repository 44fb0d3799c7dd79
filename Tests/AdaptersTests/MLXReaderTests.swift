import Adapters
import Tensors
import TestSupport
import Testing

struct MLXReaderTests {
  private static var parameters: [String: Any] { ["rank": 2, "scale": 20.0, "dropout": 0.0] }

  /// Every layer of `Small`, as mlx-lm orders it: A `[in, R]`, B `[R, out]`, rows in Hugging Face's order.
  private static func tensors(_ adapter: LoRAAdapter) -> [HandmadeFolder.Tensor] {
    let layers =
      ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
      + ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    return zip(adapter.modules, (0..<2).flatMap { block in layers.map { "model.layers.\(block).\($0)" } })
      .flatMap { module, path in
        [
          HandmadeFolder.Tensor(name: path + ".lora_a", matrix: module.a.transposed()),
          HandmadeFolder.Tensor(name: path + ".lora_b", matrix: module.b.transposed()),
        ]
      }
  }

  private static func folder(
    _ config: [String: Any], _ tensors: [HandmadeFolder.Tensor]
  ) throws -> HandmadeFolder {
    let folder = try HandmadeFolder()
    try folder.json("adapter_config.json", config)
    try folder.safetensors("adapters.safetensors", tensors)
    return folder
  }

  @Test func factorsAreTurnedAndTheScaleIsKept() throws {
    let adapter = Small.adapter(rank: 2, alpha: 1)
    let config: [String: Any] = [
      "fine_tune_type": "lora", "model": "mlx-community/x", "lora_parameters": Self.parameters,
    ]
    let folder = try Self.folder(config, Self.tensors(adapter))
    let read = try LoRAAdapter.read(folder.path, for: Small.base(.halves))
    #expect(read.modules.map(\.name) == adapter.modules.map(\.name))
    #expect(read.modules.map(\.a.values) == adapter.modules.map(\.a.values))
    #expect(read.modules.map(\.b.values) == adapter.modules.map(\.b.values))
    #expect(read.modules.allSatisfy { read.scale(of: $0) == 20 })
    #expect(read.origin.base == "mlx-community/x")
    // The rows of q are moved where the architecture needs it.
    let moved = try LoRAAdapter.read(folder.path, for: Small.base(.neighbours)).modules[0].b
    #expect(Array(moved.row(1)) == Array(adapter.modules[0].b.row(2)))
  }

  @Test func otherConfigurationsAreRefused() throws {
    let tensors = Self.tensors(Small.adapter(rank: 2, alpha: 1))
    func expect(_ config: [String: Any], _ error: (String) -> AdapterError) throws {
      let folder = try Self.folder(config, tensors)
      #expect(throws: error(folder.path + "/adapter_config.json")) {
        try LoRAAdapter.read(folder.path, for: Small.base())
      }
    }
    try expect(["fine_tune_type": "dora", "lora_parameters": Self.parameters]) {
      .unsupported(path: $0, what: "the method dora ('fine_tune_type')")
    }
    try expect(["lora_parameters": ["rank": 2]]) {
      .configuration(path: $0, key: "lora_parameters", wanted: "an object with 'scale'")
    }
    try expect(["lora_parameters": ["rank": 2, "scale": 10.0, "alpha": 16.0]]) { .ambiguousAlpha(path: $0) }
    try expect(["lora_parameters": ["rank": 3, "scale": 10.0]]) {
      .configuredRank(path: $0, tensor: "model.layers.0.self_attn.k_proj", found: 2, wanted: 3)
    }
  }
}
