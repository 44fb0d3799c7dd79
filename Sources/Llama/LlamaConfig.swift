import GGUF

/// The shape of a LLaMA model, read once from a file's metadata and checked once. Names of the keys: GGUF specification.
public struct LlamaConfig: Equatable, Sendable {
  public let dim: Int
  public let blockCount: Int
  public let headCount: Int
  public let kvHeadCount: Int
  public let headDim: Int
  public let feedForward: Int
  public let contextLength: Int
  public let normEpsilon: Float
  public let ropeBase: Float

  public var queryDim: Int { headCount * headDim }
  public var kvDim: Int { kvHeadCount * headDim }

  /// - Throws: `LlamaError` for another architecture, a key that changes the arithmetic in a way we do not have, or sizes
  ///   that contradict each other; `GGUFError` for a missing or mistyped key.
  public init(_ metadata: GGUFMetadata) throws {
    let architecture = try metadata.string("general.architecture")
    guard architecture == "llama" else { throw LlamaError.architecture(architecture) }
    for key in Self.refusedKeys where metadata[key] != nil { throw LlamaError.unsupported(key: key) }
    if let scaling = metadata["llama.rope.scaling.type"], scaling != .string("none") {
      throw LlamaError.unsupported(key: "llama.rope.scaling.type")
    }

    dim = try metadata.positive("llama.embedding_length")
    blockCount = try metadata.positive("llama.block_count")
    headCount = try metadata.positive("llama.attention.head_count")
    kvHeadCount =
      metadata["llama.attention.head_count_kv"] == nil
      ? headCount : try metadata.positive("llama.attention.head_count_kv")
    feedForward = try metadata.positive("llama.feed_forward_length")
    contextLength = try metadata.positive("llama.context_length")
    normEpsilon = try metadata.float("llama.attention.layer_norm_rms_epsilon")
    ropeBase = metadata["llama.rope.freq_base"] == nil ? 10_000 : try metadata.float("llama.rope.freq_base")

    let keyLength = "llama.attention.key_length"
    if metadata[keyLength] != nil {
      headDim = try metadata.positive(keyLength)
    } else {
      guard dim.isMultiple(of: headCount) else {
        throw LlamaError.inconsistent("embedding length \(dim) is not a multiple of \(headCount) heads")
      }
      headDim = dim / headCount
    }
    try check(metadata)
  }

  /// A thousand times the widest model there is; it keeps every product of two sizes far from overflow.
  private static let widest = 1 << 24

  private func check(_ metadata: GGUFMetadata) throws {
    for (name, size) in [
      ("embedding length", dim), ("feed-forward length", feedForward), ("head count", headCount),
      ("block count", blockCount),
    ] where size > Self.widest {
      throw LlamaError.inconsistent("a \(name) of \(size) is beyond any model")
    }
    guard headCount.isMultiple(of: kvHeadCount) else {
      throw LlamaError.inconsistent("\(headCount) query heads cannot share \(kvHeadCount) key/value heads")
    }
    guard headDim.isMultiple(of: 2), headDim <= 256 else {
      throw LlamaError.inconsistent("a head is \(headDim) wide; rotary heads are even and at most 256 wide")
    }
    for key in ["llama.rope.dimension_count", "llama.attention.value_length"] where metadata[key] != nil {
      let found = try metadata.positive(key)
      guard found == headDim else {
        throw LlamaError.inconsistent("\(key) is \(found), but a head is \(headDim) wide")
      }
    }
    guard normEpsilon.isFinite, normEpsilon > 0 else {
      throw LlamaError.inconsistent("the norm epsilon \(normEpsilon) is not a positive number")
    }
    guard ropeBase.isFinite, ropeBase > 0 else {
      throw LlamaError.inconsistent("the rotary base \(ropeBase) is not a positive number")
    }
  }

  /// Keys that change the arithmetic and are not implemented; ignoring one would give wrong numbers without a word.
  private static let refusedKeys = [
    "llama.expert_count", "llama.attention.sliding_window", "llama.attention.scale", "llama.rope.scale_linear",
    "llama.logit_scale", "llama.embedding_scale", "llama.residual_scale",
  ]
}
