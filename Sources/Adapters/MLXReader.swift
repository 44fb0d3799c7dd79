import Tensors

/// Adapters of mlx-lm: `adapter_config.json` beside `adapters.safetensors`, whose A is `[in, R]` and B `[R, out]`, with a scale in
/// place of alpha / rank. Facts: mlx-lm's source.
extension LoRAAdapter {
  static func read(mlx folder: String, _ settings: Settings, for base: LoRABase) throws -> LoRAAdapter {
    if let type = try settings.text("fine_tune_type"), type != "lora" {
      throw AdapterError.unsupported(path: settings.path, what: "the method \(type) ('fine_tune_type')")
    }
    guard let parameters = try settings.object("lora_parameters"), let scale = try parameters.number("scale") else {
      throw AdapterError.configuration(path: settings.path, key: "lora_parameters", wanted: "an object with 'scale'")
    }
    // Early versions multiplied the scale by alpha / rank, later ones read the same file without.
    if parameters.fields["alpha"] != nil {
      throw AdapterError.ambiguousAlpha(path: settings.path)
    }
    guard scale != 0, Float(scale).isFinite else { throw AdapterError.badAlpha(Float(scale)) }
    let rank = try parameters.count("rank")
    let tensors = try SafetensorsSet(folder: folder, stem: "adapters", pickle: "adapters.npz")
    let pairs = try HuggingFaceFactors(tensors, base, .mlx).pairs()
    let modules = try pairs.map { pair in
      if let rank, rank != pair.a.rows {
        throw AdapterError.configuredRank(
          path: settings.path, tensor: pair.hfPath, found: pair.a.rows, wanted: Double(rank))
      }
      return LoRAModule(name: pair.name, a: pair.a, b: pair.b, alpha: Float(scale * Double(pair.a.rows)))
    }
    let alpha = modules.first?.alpha ?? 0
    let plain = modules.map {
      LoRAModule(name: $0.name, a: $0.a, b: $0.b, alpha: $0.alpha == alpha ? nil : $0.alpha)
    }
    var adapter = LoRAAdapter(architecture: base.architecture, alpha: alpha, modules: plain)
    adapter.origin.base = try settings.text("model")
    return adapter
  }
}
