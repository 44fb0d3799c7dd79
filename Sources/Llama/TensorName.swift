import Adapters

/// Tensor names as they stand in the file, each written once.
public enum TensorName {
  public static let tokenEmbd = "token_embd.weight"
  public static let outputNorm = "output_norm.weight"
  public static let output = "output.weight"
  public static let ropeFreqs = "rope_freqs.weight"

  /// The head of a sequence classifier, as llama.cpp names it.
  public static let classifier = "cls.output.weight"
  public static let classifierBias = "cls.output.bias"

  static let ropeFactorsShort = "rope_factors_short.weight"
  static let ropeFactorsLong = "rope_factors_long.weight"

  static func attnNorm(_ block: Int) -> String { "blk.\(block).attn_norm.weight" }
  static func attnQNorm(_ block: Int) -> String { "blk.\(block).attn_q_norm.weight" }
  static func attnKNorm(_ block: Int) -> String { "blk.\(block).attn_k_norm.weight" }
  static func ffnNorm(_ block: Int) -> String { "blk.\(block).ffn_norm.weight" }
}

extension LoRATarget {
  /// The name of the frozen row that is added to this layer's outputs, where a model has one.
  func biasName(block: Int) -> String { "blk.\(block).\(rawValue).bias" }

  /// `(outputs, inputs)` of this layer in `block`.
  func shape(_ config: LlamaConfig, block: Int, vocabulary: Int) -> (rows: Int, columns: Int) {
    let sizes = config.blocks[block]
    let (queries, keys) = (sizes.headCount * config.headDim, sizes.kvHeadCount * config.headDim)
    switch self {
    case .attnQ: return (queries, config.dim)
    case .attnK, .attnV: return (keys, config.dim)
    case .attnOutput: return (config.dim, queries)
    case .ffnGate, .ffnUp: return (sizes.feedForward, config.dim)
    case .ffnDown: return (config.dim, sizes.feedForward)
    case .output: return (vocabulary, config.dim)
    case .tokenEmbd: return (config.dim, vocabulary)
    }
  }

  /// Place of this layer in lists that follow `inBlock`; those of head and embedding are behind them.
  var index: Int {
    switch self {
    case .attnQ: 0
    case .attnK: 1
    case .attnV: 2
    case .attnOutput: 3
    case .ffnGate: 4
    case .ffnUp: 5
    case .ffnDown: 6
    case .output: 7
    case .tokenEmbd: 8
    }
  }
}
