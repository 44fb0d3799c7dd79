import GGUF

/// The keys of a file's architecture, `llama.block_count` for example, by what stands behind the prefix.
struct ArchitectureKeys {
  let metadata: GGUFMetadata
  private let prefix: String

  init(_ metadata: GGUFMetadata, _ architecture: String) {
    self.metadata = metadata
    prefix = architecture + "."
  }

  func name(_ key: String) -> String { prefix + key }

  /// A size between 1 and `limit`.
  func size(_ key: String, limit: Int) throws -> Int {
    try checked(metadata.positive(name(key)), key, limit)
  }

  /// One value for all blocks, or one for each.
  func perBlock(_ key: String, blocks: Int, limit: Int) throws -> [Int] {
    guard let values = try optionalPerBlock(key, blocks: blocks, limit: limit) else {
      throw GGUFError.missingKey(name(key))
    }
    return values
  }

  func optionalPerBlock(_ key: String, blocks: Int, limit: Int) throws -> [Int]? {
    guard let value = metadata[name(key)] else { return nil }
    guard case .array = value else {
      return [Int](repeating: try size(key, limit: limit), count: blocks)
    }
    let values = try metadata.ints(name(key))
    guard values.count == blocks else {
      throw LlamaError.inconsistent("\(name(key)) has \(values.count) entries for \(blocks) blocks")
    }
    for value in values {
      guard value > 0 else { throw GGUFError.notPositive(key: name(key), value: value) }
      _ = try checked(value, key, limit)
    }
    return values
  }

  private func checked(_ value: Int, _ key: String, _ limit: Int) throws -> Int {
    guard value <= limit else { throw LlamaError.inconsistent("\(name(key)) is \(value), beyond any model") }
    return value
  }

  /// A factor; nil when the file has none, or 0, which stands for none.
  func scale(_ key: String) throws -> Float? {
    guard let scale = try metadata.optionalFloat(name(key)), scale != 0 else { return nil }
    guard scale.isFinite, scale > 0 else {
      throw LlamaError.inconsistent("\(name(key)) is \(scale), not a positive number")
    }
    return scale
  }

  // MARK: What nobody reads

  /// Ignoring a key that changes the arithmetic would give wrong numbers without a word. Such keys have telling names; among
  /// them, those that are not read here may only say that there is nothing.
  ///
  /// - Throws: `LlamaError.experts`, or `.unsupported` with the key's name.
  func refuseUnsupported() throws {
    for full in metadata.keys where full.hasPrefix(prefix) {
      let key = String(full.dropFirst(prefix.count))
      guard Self.isArithmetic(key), !Self.read.contains(key), let value = metadata[full] else { continue }
      if value == .bool(Self.isNeutralWhenTrue.contains(key)) || value.asInt == 0 || value.asFloat == 0 { continue }
      if key == "expert_count", let experts = value.asInt { throw LlamaError.experts(experts) }
      throw LlamaError.unsupported(key: full)
    }
  }

  private static func isArithmetic(_ key: String) -> Bool {
    ["attention.", "rope.", "expert", "ssm.", "altup.", "laurel.", "nextn"].contains { key.hasPrefix($0) }
      || ["_scale", "softcapping", "residual", "norm_before_gate"].contains { key.hasSuffix($0) }
  }

  private static let isNeutralWhenTrue: Set = ["attention.causal"]

  /// Read by `LlamaConfig` and `RopeConfig`, or without meaning for them: the norms of these architectures have one epsilon.
  private static let read: Set = [
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "attention.sliding_window", "attention.scale",
    "attention.temperature_scale", "embedding_scale", "residual_scale", "logit_scale",
    "rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.finetuned",
    "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow", "rope.scaling.yarn_log_multiplier",
  ]
}
