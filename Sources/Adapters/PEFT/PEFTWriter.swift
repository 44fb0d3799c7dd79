import Foundation
import GGUF
import Tensors

/// Export for Hugging Face's PEFT: a folder with `adapter_model.safetensors`, `adapter_config.json` and a README.md.
///
/// Two things differ from GGUF. Rows of q and k are in Hugging Face's order, from which GGUF's differs in some architectures, and
/// there is one rank and one alpha for the folder, because other loaders ignore `rank_pattern` and `alpha_pattern`.
extension LoRAAdapter {
  /// Writes the folder, creating it (but not its parents) if needed. The configuration is removed first and written
  /// last, so that an interrupted folder is not taken for a whole one.
  ///
  /// - Parameters:
  ///   - headDim: width of a head of the model.
  ///   - pairs: which rows of a head turn together in its GGUF file; Hugging Face's models turn halves.
  ///   - baseName: the base model's name on its hub.
  ///   - format: F32, F16 or BF16.
  /// - Throws: `AdapterError` before anything is written, `FileError` later.
  public func writePEFT(
    folder: String, headDim: Int, pairs: RotaryPairs, baseName: String?, format: WeightFormat = .f32
  ) throws {
    precondition(format.isFloat, "PEFT reads no \(format)")
    if let baseName, baseName.hasPrefix("/") { throw AdapterError.baseNameIsPath(baseName) }
    let adapter = withOneAlpha()
    guard let rank = adapter.modules.map(\.rank).max() else { throw AdapterError.empty(path: folder) }
    try adapter.checkFinite()
    let folderAlpha = adapter.alpha == 0 ? Float(rank) : adapter.alpha

    var tensors = SafetensorsWriter()
    var targets = Set<LoRATarget>()
    let order = HeadOrder(headDim: headDim, pairs: pairs)
    for module in adapter.modules {
      guard let (block, target) = LoRATarget.parse(tensorName: module.name) else {
        throw AdapterError.notInModel(tensor: module.name)
      }
      targets.insert(target)
      let b = try order.toHuggingFace(module.b, of: module.name)
      // 1 unless the ranks differ.
      let factor = adapter.scale(of: module) / (folderAlpha / Float(rank))
      let names = target.peftNames(block: block)
      try tensors.add(names.a, module.a.resized(rows: rank, columns: module.a.columns), format)
      try tensors.add(names.b, b.resized(rows: b.rows, columns: rank, factor: factor), format)
    }

    let config = Self.configuration(
      rank: rank, alpha: folderAlpha, targets: LoRATarget.allCases.filter(targets.contains), baseName: baseName)
    try prepare(folder: folder, without: Self.configName)
    try tensors.write(to: folder + "/adapter_model.safetensors")
    let card = ModelCard(base: baseName, origin: origin, rank: rank, alpha: folderAlpha)
    try AtomicFile.write(card.text, to: folder + "/README.md")
    try AtomicFile.write(config, to: folder + "/" + Self.configName)
  }

  /// Only keys that old versions of PEFT know too; they refuse others.
  private static func configuration(rank: Int, alpha: Float, targets: [LoRATarget], baseName: String?) -> String {
    let names = targets.map { "\"\($0.hfName)\"" }.joined(separator: ", ")
    return """
      {
        "alpha_pattern": {},
        "base_model_name_or_path": \(jsonString(baseName ?? "")),
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": \(alpha),
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": \(rank),
        "rank_pattern": {},
        "revision": null,
        "target_modules": [\(names)],
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": false
      }

      """
  }
}

extension LoRATarget {
  /// The names of A and B in a PEFT folder.
  fileprivate func peftNames(block: Int?) -> (a: String, b: String) {
    let path = "base_model.model." + hfPath(block: block ?? 0)
    return self == .tokenEmbd
      ? (path + ".lora_embedding_A", path + ".lora_embedding_B") : (path + ".lora_A.weight", path + ".lora_B.weight")
  }
}

/// Makes the folder, and removes `name` from it.
private func prepare(folder: String, without name: String) throws(FileError) {
  guard mkdir(folder, 0o777) == 0 || errno == EEXIST else {
    throw .refused(action: "create", path: folder, code: errno)
  }
  let path = folder + "/" + name
  guard unlink(path) == 0 || errno == ENOENT else { throw .refused(action: "replace", path: path, code: errno) }
}

extension Matrix {
  /// A copy times `factor`, with zeros behind the old rows and columns.
  fileprivate func resized(rows newRows: Int, columns newColumns: Int, factor: Float = 1) -> Matrix {
    let out = Matrix(newRows, newColumns)
    for row in 0..<rows {
      for column in 0..<columns { out[row, column] = factor * self[row, column] }
    }
    return out
  }
}
