import Tensors

/// PEFT folders: `adapter_config.json` beside `adapter_model.safetensors`, or several files with an index.
extension LoRAAdapter {
  static func read(peft folder: String, _ settings: Settings, for base: LoRABase) throws -> LoRAAdapter {
    let config = try PEFTConfig(settings)
    let tensors = try SafetensorsSet(folder: folder, stem: "adapter_model", pickle: "adapter_model.bin")
    let alpha = try config.effectiveAlpha(config.alpha, rank: config.rank)
    let modules = try HuggingFaceFactors(tensors, base, .peft).pairs().map { pair in
      let own = try config.alpha(of: pair.hfPath, rank: pair.a.rows)
      return LoRAModule(name: pair.name, a: pair.a, b: pair.b, alpha: own == alpha ? nil : own)
    }
    var adapter = LoRAAdapter(architecture: base.architecture, alpha: alpha, modules: modules)
    adapter.origin.base = config.base
    return adapter
  }
}
