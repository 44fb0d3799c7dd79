import Tensors

/// Any adapter that can be read, wherever one is asked for: a GGUF file, a PEFT folder, a folder of mlx-lm.
extension LoRAAdapter {
  /// Reads the adapter and checks that it is one for this model and that every value can be computed with.
  ///
  /// - Parameter path: a GGUF file, a folder, or the safetensors file in it.
  /// - Throws: `AdapterError`, `SafetensorsError`, `GGUFError`, `FileError`.
  public static func read(_ path: String, for base: LoRABase) throws -> LoRAAdapter {
    let adapter: LoRAAdapter
    if let folder = folder(path) {
      adapter = try read(folder: folder, for: base)
    } else if pickles.contains(where: path.hasSuffix) && FileSystem.exists(path) {
      throw SafetensorsError.pickled(path: path)
    } else {
      adapter = try read(gguf: path)
    }
    try adapter.check(base)
    try adapter.checkFinite()
    return adapter
  }

  /// The files an adapter consists of, for fingerprints; `path` itself unless it is a folder.
  /// - Throws: `FileError`.
  public static func files(of path: String) throws(FileError) -> [String] {
    guard let folder = folder(path) else { return [path] }
    let names = try FileSystem.names(in: folder).filter { name in
      name == configName || name.hasSuffix(".safetensors") || name.hasSuffix(".safetensors.index.json")
    }
    return names.sorted().map { folder + "/" + $0 }
  }

  private static let pickles = [".bin", ".pt", ".pth", ".pkl", ".npz"]

  /// The folder that is meant, nil for a file of its own.
  private static func folder(_ path: String) -> String? {
    if FileSystem.isFolder(path) { return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path }
    guard path.hasSuffix(".safetensors"), FileSystem.exists(path) else { return nil }
    return folderPath(of: path)
  }

  private static func read(folder: String, for base: LoRABase) throws -> LoRAAdapter {
    let path = folder + "/" + configName
    guard FileSystem.exists(path) else { throw AdapterError.noConfiguration(folder: folder, name: configName) }
    let settings = try Settings(path)
    let isMLX = settings.fields["peft_type"] == nil && settings.fields["lora_parameters"] != nil
    return isMLX
      ? try read(mlx: folder, settings, for: base) : try read(peft: folder, settings, for: base)
  }

  static let configName = "adapter_config.json"
}
