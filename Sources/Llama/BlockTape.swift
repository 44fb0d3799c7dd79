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
  // Before the norms of their heads, with 1 / rms of each; where heads have no norm, q and k themselves.
  let qProjected: Matrix  // [T, H·E]
  let kProjected: Matrix  // [T, K·E]
  let qInverse: Buffer<Float>  // [T·H]
  let kInverse: Buffer<Float>  // [T·K]
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
  ///   - sizes: of the blocks it is for.
  ///   - spare: lends what this tape does not keep; nil for a tape of its own.
  ///   - keeps: what a tape with a spare has of its own.
  init(
    _ model: LlamaModel, _ sizes: LlamaConfig.Block, rows: Int, scratch: QuantizedRows, spare: BlockTape? = nil,
    keeps: Set<Half> = []
  ) {
    let config = model.config
    let (queryDim, kvDim) = (sizes.headCount * config.headDim, sizes.kvHeadCount * config.headDim)
    let normedRows = config.architecture.normsHeads ? rows : 0
    func activations(_ columns: Int) -> Activations {
      Activations(rows, columns, precision: model.precision, scratch: scratch)
    }
    self.keeps = keeps
    attnNorm = spare?.attnNorm ?? activations(config.dim)
    attnInverse = spare?.attnInverse ?? Buffer(count: rows)
    ffnNorm = spare?.ffnNorm ?? activations(config.dim)
    ffnInverse = spare?.ffnInverse ?? Buffer(count: rows)
    act = spare?.act ?? activations(sizes.feedForward)

    let attention = keeps.contains(.attention) ? nil : spare
    q = attention?.q ?? Matrix(rows, queryDim)
    k = attention?.k ?? Matrix(rows, kvDim)
    qProjected = attention?.qProjected ?? (normedRows > 0 ? Matrix(normedRows, queryDim) : q)
    kProjected = attention?.kProjected ?? (normedRows > 0 ? Matrix(normedRows, kvDim) : k)
    qInverse = attention?.qInverse ?? Buffer(count: normedRows * sizes.headCount)
    kInverse = attention?.kInverse ?? Buffer(count: normedRows * sizes.kvHeadCount)
    v = attention?.v ?? Matrix(rows, kvDim)
    attnOut = attention?.attnOut ?? activations(queryDim)
    logSum = attention?.logSum ?? Matrix(rows, sizes.headCount)
    middle = attention?.middle ?? Matrix(rows, config.dim)

    let feedForward = keeps.contains(.feedForward) ? nil : spare
    gate = feedForward?.gate ?? Matrix(rows, sizes.feedForward)
    up = feedForward?.up ?? Matrix(rows, sizes.feedForward)
  }

  func low(_ layer: LoRATarget) -> Matrix? { low[layer.index] }

  /// Bytes of one row of a tape, without `low`.
  struct RowBytes {
    let passing: Int
    let attention: Int
    let feedForward: Int
    var all: Int { passing + attention + feedForward }

    init(_ c: LlamaConfig, _ sizes: LlamaConfig.Block) {
      let float = MemoryLayout<Float>.stride
      let (queryDim, kvDim) = (sizes.headCount * c.headDim, sizes.kvHeadCount * c.headDim)
      let projected = c.architecture.normsHeads ? queryDim + kvDim + sizes.headCount + sizes.kvHeadCount : 0
      passing = float * (2 * c.dim + 2 + sizes.feedForward)
      attention = float * (2 * queryDim + 2 * kvDim + sizes.headCount + c.dim + projected)
      feedForward = float * 2 * sizes.feedForward
    }
  }

  /// A tape for each kind of block there is.
  static func each(_ model: LlamaModel, rows: Int, scratch: QuantizedRows) -> [LlamaConfig.Block: BlockTape] {
    let kinds = Set(model.config.blocks).map { ($0, BlockTape(model, $0, rows: rows, scratch: scratch)) }
    return Dictionary(uniqueKeysWithValues: kinds)
  }

  /// Bytes of one row of those tapes together.
  static func rowBytesOfEach(_ config: LlamaConfig) -> Int {
    Set(config.blocks).reduce(0) { $0 + RowBytes(config, $1).all }
  }

  /// Values of the widest input of a linear layer, for the shared quantised twin.
  static func widest(_ config: LlamaConfig) -> Int {
    QuantizedRows.room(columns: max(config.dim, config.queryDim, config.feedForward))
  }
}
