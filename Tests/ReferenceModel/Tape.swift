/// Everything the forward computed. The backward fills a tape of the same type with gradients.

public struct TwinBlockTape: Sendable {
  /// Into the block, `[T, D]`.
  public var x: TwinTensor
  public var attnNorm: TwinTensor
  /// Before the norms of heads and the rotation, `[T, H·E]`.
  public var qProjected: TwinTensor
  /// `[T, K·E]`
  public var kProjected: TwinTensor
  /// After rotation, `[T, H·E]`.
  public var q: TwinTensor
  /// After rotation, `[T, K·E]`.
  public var k: TwinTensor
  public var v: TwinTensor
  /// `[H·T, T]`; stays zero in a tape of gradients.
  public var probabilities: TwinTensor
  /// `[T, H·E]`
  public var attention: TwinTensor
  public var attnOut: TwinTensor
  /// x + attnOut.
  public var middle: TwinTensor
  public var ffnNorm: TwinTensor
  /// `[T, F]`
  public var gate: TwinTensor
  public var up: TwinTensor
  public var act: TwinTensor
  public var ffnOut: TwinTensor
  /// middle + ffnOut, which goes into the next block.
  public var out: TwinTensor

  /// Zeros for `length` tokens.
  init(_ config: TwinConfig, length: Int) {
    let model = TwinTensor(zeros: length, config.dim)
    let queries = TwinTensor(zeros: length, config.headCount * config.headDim)
    let keys = TwinTensor(zeros: length, config.kvHeadCount * config.headDim)
    let hidden = TwinTensor(zeros: length, config.ffnDim)
    (x, attnNorm, attnOut, middle, ffnNorm, ffnOut, out) = (model, model, model, model, model, model, model)
    (q, k, v, attention) = (queries, keys, keys, queries)
    (qProjected, kProjected) = (queries, keys)
    (gate, up, act) = (hidden, hidden, hidden)
    probabilities = TwinTensor(zeros: config.headCount * length, length)
  }
}

public struct TwinTape: Sendable {
  public let tokens: [Int]
  public var blocks: [TwinBlockTape]
  /// Out of the last block, `[T, D]`.
  public var hidden: TwinTensor
  public var outputNorm: TwinTensor
  /// `[T, V]`
  public var logits: TwinTensor
  /// Log-sum-exp of each row of logits, `T` values.
  public var logSum: [Double]
  /// `logProbs[t]` = log π(tokens[t + 1] | tokens[0...t]) in nats, `T − 1` values.
  public var logProbs: [Double]

  init(_ config: TwinConfig, tokens: [Int]) {
    self.tokens = tokens
    blocks = (0..<config.blockCount).map { TwinBlockTape(config.of($0), length: tokens.count) }
    hidden = TwinTensor(zeros: tokens.count, config.dim)
    outputNorm = hidden
    logits = TwinTensor(zeros: tokens.count, config.vocabularySize)
    logSum = [Double](repeating: 0, count: tokens.count)
    logProbs = [Double](repeating: 0, count: tokens.count - 1)
  }

  /// `targets[t]` is the token that follows position t.
  var targets: [Int] { Array(tokens.dropFirst()) }
}
