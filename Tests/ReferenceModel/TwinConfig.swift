/// The shape of a LLaMA model and the names of its tensors, as GGUF files spell them.

public struct TwinConfig: Equatable, Sendable {
  public var dim: Int
  public var blockCount: Int
  public var headCount: Int
  public var kvHeadCount: Int
  public var headDim: Int
  public var ffnDim: Int
  public var vocabularySize: Int
  public var eps: Double
  public var ropeBase: Double
  /// `E / 2` divisors of the rotary frequencies (the tensor `rope_freqs.weight`), or nil when the file has none.
  public var ropeFreqs: [Double]?

  public init(
    dim: Int, blockCount: Int, headCount: Int, kvHeadCount: Int, headDim: Int? = nil, ffnDim: Int,
    vocabularySize: Int, eps: Double = 1e-5, ropeBase: Double = 10_000, ropeFreqs: [Double]? = nil
  ) {
    precondition(headCount.isMultiple(of: kvHeadCount), "\(headCount) heads cannot share \(kvHeadCount)")
    self.dim = dim
    self.blockCount = blockCount
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headDim = headDim ?? dim / headCount
    self.ffnDim = ffnDim
    self.vocabularySize = vocabularySize
    self.eps = eps
    self.ropeBase = ropeBase
    self.ropeFreqs = ropeFreqs
    precondition(self.headDim.isMultiple(of: 2), "rotary pairs need an even head width, not \(self.headDim)")
    precondition(ropeFreqs.map { $0.count == self.headDim / 2 } ?? true, "ropeFreqs needs \(self.headDim / 2) values")
  }
}

/// The seven linear layers of a block, each a possible LoRA target.
public enum TwinLinear: String, CaseIterable, Sendable {
  case attnQ = "attn_q"
  case attnK = "attn_k"
  case attnV = "attn_v"
  case attnOutput = "attn_output"
  case ffnGate = "ffn_gate"
  case ffnUp = "ffn_up"
  case ffnDown = "ffn_down"

  public func name(_ block: Int) -> String { "blk.\(block).\(rawValue).weight" }

  /// `[rows, columns]` = `[out, in]`.
  public func shape(_ config: TwinConfig) -> (rows: Int, columns: Int) {
    switch self {
    case .attnQ: (config.headCount * config.headDim, config.dim)
    case .attnK, .attnV: (config.kvHeadCount * config.headDim, config.dim)
    case .attnOutput: (config.dim, config.headCount * config.headDim)
    case .ffnGate, .ffnUp: (config.ffnDim, config.dim)
    case .ffnDown: (config.dim, config.ffnDim)
    }
  }
}

/// The other tensors.
public enum TwinName {
  public static let tokenEmbd = "token_embd.weight"
  public static let outputNorm = "output_norm.weight"
  public static let output = "output.weight"
  public static func attnNorm(_ block: Int) -> String { "blk.\(block).attn_norm.weight" }
  public static func ffnNorm(_ block: Int) -> String { "blk.\(block).ffn_norm.weight" }
}
