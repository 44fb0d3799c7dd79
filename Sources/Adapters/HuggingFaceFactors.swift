import Tensors

/// The pairs of factors in a file that has Hugging Face's names, however its program orders and spells them.
struct HuggingFaceFactors {
  struct Pair {
    /// The weight's name in GGUF.
    let name: String
    /// `model.layers.0.self_attn.q_proj`, for the patterns of a configuration.
    let hfPath: String
    let a: Matrix
    let b: Matrix
  }

  /// What ends the name of a first and a second factor, each in every spelling.
  struct Spelling {
    let a: [String]
    let b: [String]
    /// A is `[in, R]` and B `[R, out]` in the file.
    let isTransposed: Bool

    static let peft = Spelling(
      a: [".lora_A.weight", ".lora_A.default.weight", ".lora_embedding_A"],
      b: [".lora_B.weight", ".lora_B.default.weight", ".lora_embedding_B"],
      isTransposed: false)
    static let mlx = Spelling(a: [".lora_a"], b: [".lora_b"], isTransposed: true)
  }

  private let tensors: SafetensorsSet
  private let base: LoRABase
  private let spelling: Spelling
  private let order: HeadOrder

  init(_ tensors: SafetensorsSet, _ base: LoRABase, _ spelling: Spelling) {
    self.tensors = tensors
    self.base = base
    self.spelling = spelling
    order = HeadOrder(headDim: base.headDim, pairs: base.pairs)
  }

  /// Every pair, with A `[R, in]`, B `[out, R]` and rows in the order of the model's file. No tensor is left over.
  /// - Throws: `AdapterError`, `SafetensorsError`.
  func pairs() throws -> [Pair] {
    var found: [String: (a: String?, b: String?, path: String, partner: String)] = [:]
    for tensor in tensors.names {
      let (path, isA, partner) = try part(tensor)
      guard let (block, target) = LoRATarget.parse(hfPath: path) else { throw unknown(tensor, path) }
      let name = target.tensorName(block: block ?? 0)
      var pair = found[name] ?? (nil, nil, path, partner)
      guard (isA ? pair.a : pair.b) == nil else { throw AdapterError.twice(path: tensors.path, tensor: tensor) }
      if isA { pair.a = tensor } else { pair.b = tensor }
      found[name] = pair
    }
    guard !found.isEmpty else { throw AdapterError.empty(path: tensors.path) }
    let shapes = Dictionary(base.layers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    return try found.sorted { $0.key < $1.key }.map { name, pair in
      guard let a = pair.a, let b = pair.b else {
        throw AdapterError.lone(
          path: tensors.path, tensor: pair.path,
          missing: pair.partner)
      }
      return try read(name, pair.path, a: a, b: b, shapes[name])
    }
  }

  private func read(_ name: String, _ path: String, a: String, b: String, _ shape: LoRAShape?) throws -> Pair {
    var (a, b) = (try tensors.matrix(a), try tensors.matrix(b))
    if spelling.isTransposed { (a, b) = (a.transposed(), b.transposed()) }
    if let shape, a.columns != shape.columns || b.rows != shape.rows, a.rows == shape.columns || b.columns == shape.rows
    {
      throw AdapterError.transposed(path: tensors.path, tensor: path)
    }
    guard a.rows == b.columns else {
      throw AdapterError.rankMismatch(
        path: tensors.path, tensor: path, a: [a.rows, a.columns], b: [b.rows, b.columns])
    }
    // Heads can be told apart only in a matrix that fits; another model is named as such by whoever checks it.
    let fits = shape.map { $0.rows == b.rows } ?? false
    return Pair(name: name, hfPath: path, a: a, b: fits ? try order.toGGUF(b, of: name) : b)
  }

  /// The layer a tensor belongs to, in Hugging Face's spelling, which factor it is, and what the other is called.
  private func part(_ tensor: String) throws(AdapterError) -> (path: String, isA: Bool, partner: String) {
    for (suffixes, partners, isA) in [(spelling.a, spelling.b, true), (spelling.b, spelling.a, false)] {
      for (suffix, partner) in zip(suffixes, partners) where tensor.hasSuffix(suffix) {
        let path = Self.withoutWrappers(String(tensor.dropLast(suffix.count)))
        return (path, isA, path + partner)
      }
    }
    throw unknown(tensor, tensor)
  }

  /// PEFT and models of several parts put names before that of the language model.
  private static func withoutWrappers(_ path: String) -> String {
    var path = Substring(path)
    for wrapper in ["base_model.model.", "language_model."] where path.hasPrefix(wrapper) {
      path = path.dropFirst(wrapper.count)
    }
    let inner = "model.language_model."
    return path.hasPrefix(inner) ? "model." + path.dropFirst(inner.count) : String(path)
  }

  private func unknown(_ tensor: String, _ path: String) -> AdapterError {
    if tensor.contains("lora_magnitude_vector") || tensor.hasSuffix(".m") {
      return .unsupported(path: tensors.path, what: "DoRA ('\(tensor)')")
    }
    return .unknownTensor(path: tensors.path, name: tensor)
  }
}
