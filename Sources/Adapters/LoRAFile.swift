import GGUF
import Tensors

/// GGUF adapter files as llama.cpp reads them: two tensors `NAME.lora_a` `[in, R]` and `NAME.lora_b` `[R, out]` (file
/// order) per weight, whose row-major bytes are those of `A [R, in]` and `B [out, R]`. Alpha is metadata, rank a shape. Only the
/// embedding's A lies as `[in, R]`, a row for each token.
extension LoRAAdapter {
  private static let suffixA = ".lora_a"
  private static let suffixB = ".lora_b"

  /// Reads factors of any format as floats. Whether it fits a model, `check(architecture:layers:)` says.
  /// - Throws: `GGUFError` for what is wrong with the file as such, `AdapterError` for the rest.
  public static func read(gguf path: String) throws -> LoRAAdapter {
    let file = try GGUFFile.open(path)
    try requireAdapter(file)
    let modules = try adaptedWeights(file).map { try module($0, file) }
    guard !modules.isEmpty else { throw AdapterError.empty(path: path) }
    let adapter = LoRAAdapter(
      architecture: try file.metadata.string("general.architecture"),
      alpha: try file.metadata.optionalFloat("adapter.lora.alpha") ?? 0, modules: modules, origin: origin(file.metadata)
    )
    try adapter.checkFinite()
    return adapter
  }

  /// Writes the factors, whole or not at all, as `withOneAlpha`.
  ///
  /// - Parameter format: F32, F16, BF16 or Q8_0; factors whose rows are not whole blocks of it stay F32.
  /// - Throws: `AdapterError.notFinite`, `.badAlpha` or `.tooLarge` and writes nothing; `GGUFError.file`.
  public func write(gguf path: String, format: WeightFormat = .f32) throws {
    let file = withOneAlpha()
    try file.checkFinite()
    var writer = GGUFWriter()
    writer.set("general.architecture", .string(architecture))
    writer.set("general.type", .string("adapter"))
    writer.set("adapter.type", .string("lora"))
    writer.set("adapter.lora.alpha", .float32(file.alpha))
    Self.put(origin, into: &writer)
    for module in file.modules {
      let a = Self.isEmbedding(module.name) ? module.a.transposed() : module.a
      for (suffix, matrix) in [(Self.suffixA, a), (Self.suffixB, module.b)] {
        let name = module.name + suffix
        writer.add(
          name: name, dimensions: [matrix.columns, matrix.rows], format: matrix.storedFormat(format),
          bytes: try matrix.encoded(format, name: name))
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
    // Such an adapter works from some tokens on only.
    let activated = "adapter.alora.invocation_tokens"
    if file.metadata[activated] != nil { throw .unsupported(path: file.path, what: "activated LoRA ('\(activated)')") }
  }

  /// Keys that say where an adapter comes from. `baseCount` belongs to llama.cpp's list of models, of which this is the first.
  private static let (baseCount, baseName) = ("general.base_model.count", "general.base_model.0.name")
  private static let factPrefix = "parley."

  private static func origin(_ metadata: GGUFMetadata) -> LoRAOrigin {
    let facts = metadata.keys.filter { $0.hasPrefix(factPrefix) }.compactMap { key in
      metadata[key]?.asString.map { (String(key.dropFirst(factPrefix.count)), $0) }
    }
    return LoRAOrigin(
      base: metadata[baseName]?.asString, facts: Dictionary(facts, uniquingKeysWith: { first, _ in first }))
  }

  private static func put(_ origin: LoRAOrigin, into writer: inout GGUFWriter) {
    if let base = origin.base {
      writer.set(baseCount, .uint32(1))
      writer.set(baseName, .string(base))
    }
    for (key, value) in origin.facts.sorted(by: { $0.key < $1.key }) { writer.set(factPrefix + key, .string(value)) }
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
    guard tensor.format != nil else {
      throw AdapterError.format(path: file.path, tensor: tensor.name, format: tensor.formatName)
    }
    let view = try file.weight(tensor.name)
    return Matrix(view.rows, view.columns, try file.floats(tensor.name).values)
  }
}
