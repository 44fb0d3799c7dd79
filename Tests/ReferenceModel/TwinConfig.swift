/// The shape of a model of the family and the names of its tensors, as GGUF files spell them.

import Foundation

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

  // What only some models have.
  /// Pairs are (i, i + E/2) instead of (2i, 2i + 1).
  public var turnsHalves = false
  public var stretch = TwinStretch.none
  /// Multiplies turned queries and keys.
  public var magnitude = 1.0
  /// Queries at position p grow by 1 + slope · ln(1 + ⌊p / length⌋).
  public var temperature: TwinTemperature?
  /// Positions a row sees, its own included; nil: all.
  public var window: Int?
  /// Of the scores; nil is 1 / √E.
  public var attentionScale: Double?
  public var embeddingScale = 1.0
  /// Of what attention and feed-forward add to the residual stream.
  public var residualScale = 1.0
  public var logitScale = 1.0
  /// Heads and feed-forward width of blocks that differ from the rest.
  public var otherBlocks: [Int: TwinBlockSizes] = [:]

  /// The same with the sizes of one block.
  func of(_ block: Int) -> TwinConfig {
    guard let sizes = otherBlocks[block] else { return self }
    var config = self
    (config.headCount, config.kvHeadCount, config.ffnDim) = (sizes.headCount, sizes.kvHeadCount, sizes.ffnDim)
    return config
  }

  /// Radians a position turns pair `i`.
  func frequency(_ i: Int) -> Double {
    let own = pow(ropeBase, -2 * Double(i) / Double(headDim)) / (ropeFreqs?[i] ?? 1)
    switch stretch {
    case .none: return own
    case .linear(let factor): return own / factor
    case .yarn(let factor, let original, let fast, let slow):
      // Dimension, of E/2, whose wavelength is 1/n of the original context.
      func dimension(_ n: Double) -> Double {
        Double(headDim) / 2 * log(Double(original) / (2 * .pi * n)) / log(ropeBase)
      }
      let (from, to) = (max(floor(dimension(fast)), 0), min(ceil(dimension(slow)), Double(headDim - 1)))
      let kept = 1 - min(max((Double(i) - from) / max(to - from, 0.001), 0), 1)
      return own * kept + own / factor * (1 - kept)
    }
  }

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

public enum TwinStretch: Equatable, Sendable {
  case none
  case linear(factor: Double)
  /// Peng et al. 2023, arXiv 2309.00071; the magnitude is not in it.
  case yarn(factor: Double, original: Int, fast: Double, slow: Double)
}

public struct TwinTemperature: Equatable, Sendable {
  public var slope: Double
  public var length: Int
  public init(slope: Double, length: Int) { (self.slope, self.length) = (slope, length) }
}

public struct TwinBlockSizes: Equatable, Sendable {
  public var headCount: Int
  public var kvHeadCount: Int
  public var ffnDim: Int
  public init(headCount: Int, kvHeadCount: Int, ffnDim: Int) {
    (self.headCount, self.kvHeadCount, self.ffnDim) = (headCount, kvHeadCount, ffnDim)
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
  public func biasName(_ block: Int) -> String { "blk.\(block).\(rawValue).bias" }

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
  public static func attnQNorm(_ block: Int) -> String { "blk.\(block).attn_q_norm.weight" }
  public static func attnKNorm(_ block: Int) -> String { "blk.\(block).attn_k_norm.weight" }
  public static func ffnNorm(_ block: Int) -> String { "blk.\(block).ffn_norm.weight" }
}
