import Adapters

/// Tensor names as they stand in the file, each written once.
public enum TensorName {
  public static let tokenEmbd = "token_embd.weight"
  public static let outputNorm = "output_norm.weight"
  public static let output = "output.weight"
  public static let ropeFreqs = "rope_freqs.weight"

  static func attnNorm(_ block: Int) -> String { "blk.\(block).attn_norm.weight" }
  static func ffnNorm(_ block: Int) -> String { "blk.\(block).ffn_norm.weight" }
}

extension LoRATarget {
  /// `(outputs, inputs)` of this layer.
  func shape(_ config: LlamaConfig, vocabulary: Int) -> (rows: Int, columns: Int) {
    switch self {
    case .attnQ: (config.queryDim, config.dim)
    case .attnK, .attnV: (config.kvDim, config.dim)
    case .attnOutput: (config.dim, config.queryDim)
    case .ffnGate, .ffnUp: (config.feedForward, config.dim)
    case .ffnDown: (config.dim, config.feedForward)
    case .output: (vocabulary, config.dim)
    }
  }

  /// Place of this layer in lists that follow `inBlock`; the head's is behind them.
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
    }
  }
}
