import Adapters
import Tensors

/// What one block leaves behind for `T` rows: activations `t` of the forward, or gradients `d` of the backward.
///
/// The same type for both, so that `Backward.swift` reads as `Forward.swift` upwards.
final class BlockTape {
  /// Parts of a tape that can be kept until the backward.
  enum Half { case attention, feedForward }
  let keeps: Set<Half>

  // In no half: from what is kept they cost a few operations a value, less than to remember them.
  let attnNorm: Activations  // [T, D]
  let attnInverse: Buffer<Float>  // [T]
  let ffnNorm: Activations  // [T, D]
  let ffnInverse: Buffer<Float>  // [T]
  let act: Activations  // [T, F]
  // The attention's half.
  let q: Matrix  // [T, H·E], rotated
  let k: Matrix  // [T, K·E], rotated
  let v: Matrix  // [T, K·E]
  let attnOut: Activations  // [T, H·E]
  let logSum: Matrix  // [T, H]
  let middle: Matrix  // [T, D], input plus attention
  // The feed-forward's half.
  let gate: Matrix  // [T, F]
  let up: Matrix  // [T, F]
  /// Room for the adapters' inner products `[T, R]`, by layer; nil where there is no adapter. Its owner's to give.
  var low = [Matrix?](repeating: nil, count: LoRATarget.inBlock.count)
  /// What the adapters' inputs lose in this pass; nil is nothing.
  var dropout: DropoutRows?

  /// - Parameters:
  ///   - spare: lends what this tape does not keep; nil for a tape of its own.
  ///   - keeps: what a tape with a spare has of its own.
  init(_ model: LlamaModel, rows: Int, scratch: QuantizedRows, spare: BlockTape? = nil, keeps: Set<Half> = []) {
    let config = model.config
    func activations(_ columns: Int) -> Activations {
      Activations(rows, columns, precision: model.precision, scratch: scratch)
    }
    self.keeps = keeps
    attnNorm = spare?.attnNorm ?? activations(config.dim)
    attnInverse = spare?.attnInverse ?? Buffer(count: rows)
    ffnNorm = spare?.ffnNorm ?? activations(config.dim)
    ffnInverse = spare?.ffnInverse ?? Buffer(count: rows)
    act = spare?.act ?? activations(config.feedForward)

    let attention = keeps.contains(.attention) ? nil : spare
    q = attention?.q ?? Matrix(rows, config.queryDim)
    k = attention?.k ?? Matrix(rows, config.kvDim)
    v = attention?.v ?? Matrix(rows, config.kvDim)
    attnOut = attention?.attnOut ?? activations(config.queryDim)
    logSum = attention?.logSum ?? Matrix(rows, config.headCount)
    middle = attention?.middle ?? Matrix(rows, config.dim)

    let feedForward = keeps.contains(.feedForward) ? nil : spare
    gate = feedForward?.gate ?? Matrix(rows, config.feedForward)
    up = feedForward?.up ?? Matrix(rows, config.feedForward)
  }

  func low(_ layer: LoRATarget) -> Matrix? { low[layer.index] }

  /// Bytes of one row of a tape, without `low`.
  struct RowBytes {
    let passing: Int
    let attention: Int
    let feedForward: Int
    var all: Int { passing + attention + feedForward }

    init(_ c: LlamaConfig) {
      let float = MemoryLayout<Float>.stride
      passing = float * (2 * c.dim + 2 + c.feedForward)
      attention = float * (2 * c.queryDim + 2 * c.kvDim + c.headCount + c.dim)
      feedForward = float * 2 * c.feedForward
    }
  }

  /// Values of the widest input of a linear layer, for the shared quantised twin.
  static func widest(_ config: LlamaConfig) -> Int {
    QuantizedRows.room(columns: max(config.dim, config.queryDim, config.feedForward))
  }
}
