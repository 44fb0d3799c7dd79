/// Tensor names as they stand in the file, each written once.
public enum TensorName {
  public static let tokenEmbd = "token_embd.weight"
  public static let outputNorm = "output_norm.weight"
  public static let output = "output.weight"
  public static let ropeFreqs = "rope_freqs.weight"

  static func attnNorm(_ block: Int) -> String { "blk.\(block).attn_norm.weight" }
  static func ffnNorm(_ block: Int) -> String { "blk.\(block).ffn_norm.weight" }
}

/// The seven linear layers of a block, the ones an adapter can change. Raw values are the names in the file.
public enum BlockLinear: String, CaseIterable, Sendable {
  case attnQ = "attn_q"
  case attnK = "attn_k"
  case attnV = "attn_v"
  case attnOutput = "attn_output"
  case ffnGate = "ffn_gate"
  case ffnUp = "ffn_up"
  case ffnDown = "ffn_down"

  public func name(block: Int) -> String { "blk.\(block).\(rawValue).weight" }

  /// `(outputs, inputs)` of this layer.
  func shape(_ config: LlamaConfig) -> (rows: Int, columns: Int) {
    switch self {
    case .attnQ: (config.queryDim, config.dim)
    case .attnK, .attnV: (config.kvDim, config.dim)
    case .attnOutput: (config.dim, config.queryDim)
    case .ffnGate, .ffnUp: (config.feedForward, config.dim)
    case .ffnDown: (config.dim, config.feedForward)
    }
  }
}
