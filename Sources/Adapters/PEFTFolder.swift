import Foundation
import GGUF
import Tensors

/// Export for Hugging Face's PEFT: a folder with `adapter_model.safetensors` and `adapter_config.json`.
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
  /// - Throws: `AdapterError` before anything is written, `FileError` later.
  public func writePEFT(folder: String, headDim: Int, pairs: RotaryPairs, baseName: String?) throws {
    if let baseName, baseName.hasPrefix("/") { throw AdapterError.baseNameIsPath(baseName) }
    let adapter = withOneAlpha()
    guard let rank = adapter.modules.map(\.rank).max() else { throw AdapterError.empty(path: folder) }
    try adapter.checkFinite()
    let folderAlpha = adapter.alpha == 0 ? Float(rank) : adapter.alpha

    var tensors: [(name: String, matrix: Matrix)] = []
    var targets = Set<LoRATarget>()
    for module in adapter.modules {
      guard let (block, target) = LoRATarget.parse(tensorName: module.name) else {
        throw AdapterError.notInModel(tensor: module.name)
      }
      targets.insert(target)
      let turns = target == .attnQ || target == .attnK
      let b = turns && pairs == .neighbours ? try Self.hfOrder(module, headDim: headDim) : module.b
      // 1 unless the ranks differ.
      let factor = adapter.scale(of: module) / (folderAlpha / Float(rank))
      let names = target.peftNames(block: block)
      tensors.append((names.a, module.a.resized(rows: rank, columns: module.a.columns)))
      tensors.append((names.b, b.resized(rows: b.rows, columns: rank, factor: factor)))
    }

    let config = Self.configuration(
      rank: rank, alpha: folderAlpha, targets: LoRATarget.allCases.filter(targets.contains), baseName: baseName)
    try prepare(folder: folder, without: Self.configName)
    try AtomicFile.write(to: folder + "/adapter_model.safetensors") { part throws(FileError) in
      try part.write(safetensorsHeader(tensors))
      for (_, matrix) in tensors { try part.write(matrix.littleEndianBytes) }
    }
    try AtomicFile.write(config, to: folder + "/" + Self.configName)
  }

  private static let configName = "adapter_config.json"

  /// B with the rows of each head as [first half | second half], where GGUF has the halves interleaved:
  /// `hf[h·E + j·E/2 + i] = gguf[h·E + 2i + j]`.
  private static func hfOrder(_ module: LoRAModule, headDim: Int) throws(AdapterError) -> Matrix {
    let b = module.b
    guard headDim > 0, headDim.isMultiple(of: 2), b.rows.isMultiple(of: headDim) else {
      throw .heads(tensor: module.name, rows: b.rows, headDim: headDim)
    }
    let out = Matrix(b.rows, b.columns)
    for row in 0..<b.rows {
      let (start, within) = (row / headDim * headDim, row % headDim)
      let hfRow = start + within % 2 * (headDim / 2) + within / 2
      _ = out.row(hfRow).update(fromContentsOf: b.row(row))
    }
    return out
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
    let place = block.map { "model.layers.\($0).\(isAttention ? "self_attn" : "mlp")." } ?? ""
    let path = "base_model.model.\(self == .tokenEmbd ? "model." : place)\(hfName)"
    return self == .tokenEmbd
      ? (path + ".lora_embedding_A", path + ".lora_embedding_B") : (path + ".lora_A.weight", path + ".lora_B.weight")
  }
}

/// What stands before the data of a safetensors file: the header's length, then names, shapes and offsets as JSON. The
/// floats of one tensor behind the other follow.
private func safetensorsHeader(_ tensors: [(name: String, matrix: Matrix)]) -> [UInt8] {
  var entries = [#""__metadata__":{"format":"pt"}"#]
  var offset = 0
  for (name, matrix) in tensors {
    let end = offset + matrix.count * MemoryLayout<Float>.size
    let facts = #"{"dtype":"F32","shape":[\#(matrix.rows),\#(matrix.columns)],"data_offsets":[\#(offset),\#(end)]}"#
    entries.append(jsonString(name) + ":" + facts)
    offset = end
  }
  var header = Array("{\(entries.joined(separator: ","))}".utf8)
  while !header.count.isMultiple(of: 8) { header.append(UInt8(ascii: " ")) }  // aligns the data
  let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
  return length + header
}

/// The text as a JSON string literal.
private func jsonString(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": out += "\\\(scalar)"
    case " "...: out.unicodeScalars.append(scalar)
    default: out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
    }
  }
  return out + "\""
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
