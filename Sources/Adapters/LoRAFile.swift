import GGUF
import Tensors

/// GGUF adapter files as llama.cpp reads them: two tensors `NAME.lora_a` `[in, R]` and `NAME.lora_b` `[R, out]` (file
/// order) per weight, whose row-major bytes are those of `A [R, in]` and `B [out, R]`. Alpha is metadata, rank a shape. Only the
/// embedding's A lies as `[in, R]`, a row for each token.
extension LoRAAdapter {
  private static let suffixA = ".lora_a"
  private static let suffixB = ".lora_b"

  /// Reads F32, F16 or BF16 factors as floats. Whether it fits a model, `check(architecture:layers:)` says.
  /// - Throws: `GGUFError` for what is wrong with the file as such, `AdapterError` for the rest.
  public static func read(gguf path: String) throws -> LoRAAdapter {
    let file = try GGUFFile.open(path)
    try requireAdapter(file)
    let modules = try adaptedWeights(file).map { try module($0, file) }
    guard !modules.isEmpty else { throw AdapterError.empty(path: path) }
    let adapter = LoRAAdapter(
      architecture: try file.metadata.string("general.architecture"),
      alpha: try file.metadata.optionalFloat("adapter.lora.alpha") ?? 0, modules: modules)
    try adapter.checkFinite()
    return adapter
  }

  /// Writes F32 factors, whole or not at all, as `withOneAlpha`.
  /// - Throws: `AdapterError.notFinite` or `.badAlpha` and writes nothing; `GGUFError.file`.
  public func write(gguf path: String) throws {
    let file = withOneAlpha()
    try file.checkFinite()
    var writer = GGUFWriter()
    writer.set("general.architecture", .string(architecture))
    writer.set("general.type", .string("adapter"))
    writer.set("adapter.type", .string("lora"))
    writer.set("adapter.lora.alpha", .float32(file.alpha))
    for module in file.modules {
      let a = Self.isEmbedding(module.name) ? module.a.transposed() : module.a
      for (suffix, matrix) in [(Self.suffixA, a), (Self.suffixB, module.b)] {
        writer.add(name: module.name + suffix, dimensions: [matrix.columns, matrix.rows], floats: matrix.values)
      }
    }
    try writer.write(to: path)
  }

  private static func isEmbedding(_ name: String) -> Bool { LoRATarget.parse(tensorName: name)?.target == .tokenEmbd }

  private static func requireAdapter(_ file: GGUFFile) throws(AdapterError) {
    for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora")] {
      let found = file.metadata[key]?.asString
      guard found == wanted else {
        throw .notAnAdapter(path: file.path, key: key, found: found.map { "'\($0)'" } ?? "missing")
      }
    }
  }

  /// The base names in the file, each once, in file order. Norms are ignored, as llama.cpp does.
  private static func adaptedWeights(_ file: GGUFFile) throws(AdapterError) -> [String] {
    var names: [String] = []
    var seen = Set<String>()
    for tensor in file.tensors where !tensor.name.hasSuffix("_norm.weight") {
      guard let suffix = [suffixA, suffixB].first(where: tensor.name.hasSuffix) else {
        throw .unknownTensor(path: file.path, name: tensor.name)
      }
      let name = String(tensor.name.dropLast(suffix.count))
      guard LoRATarget.parse(tensorName: name) != nil else {
        throw .unknownTensor(path: file.path, name: tensor.name)
      }
      if seen.insert(name).inserted { names.append(name) }
    }
    return names
  }

  private static func module(_ name: String, _ file: GGUFFile) throws -> LoRAModule {
    let stored = try factor(name, suffixA, file)
    let a = isEmbedding(name) ? stored.transposed() : stored
    let b = try factor(name, suffixB, file)
    guard a.rows == b.columns else {
      let (path, shapeA, shapeB) = (file.path, [a.rows, a.columns], [b.rows, b.columns])
      throw a.columns == b.columns
        ? AdapterError.transposed(path: path, tensor: name)
        : AdapterError.rankMismatch(path: path, tensor: name, a: shapeA, b: shapeB)
    }
    return LoRAModule(name: name, a: a, b: b)
  }

  private static func factor(_ name: String, _ suffix: String, _ file: GGUFFile) throws -> Matrix {
    guard let tensor = file.tensor(name + suffix) else {
      throw AdapterError.lone(path: file.path, tensor: name, missing: name + suffix)
    }
    guard tensor.format?.isFloat == true else {
      throw AdapterError.quantised(path: file.path, tensor: tensor.name, format: tensor.formatName)
    }
    let view = try file.weight(tensor.name)
    return Matrix(view.rows, view.columns, try file.floats(tensor.name).values)
  }
}
