import Adapters
import Tensors

/// What one block leaves behind for `T` rows: activations `t` of the forward, or gradients `d` of the backward.
///
/// The same type for both, so that `Backward.swift` reads as `Forward.swift` upwards.
final class BlockTape {
  let attnNorm: Activations  // [T, D]
  let attnInverse: Buffer<Float>  // [T]
  let q: Matrix  // [T, H·E], rotated
  let k: Matrix  // [T, K·E], rotated
  let v: Matrix  // [T, K·E]
  let attnOut: Activations  // [T, H·E]
  let logSum: Matrix  // [T, H]
  let middle: Matrix  // [T, D], input plus attention
  let ffnNorm: Activations  // [T, D]
  let ffnInverse: Buffer<Float>  // [T]
  let gate: Matrix  // [T, F]
  let up: Matrix  // [T, F]
  let act: Activations  // [T, F]
  /// Room for the adapters' inner products `[T, R]`, by layer; nil where there is no adapter. Its owner's to give.
  var low = [Matrix?](repeating: nil, count: LoRATarget.inBlock.count)
  /// What the adapters' inputs lose in this pass; nil is nothing.
  var dropout: DropoutRows?

  init(_ model: LlamaModel, rows: Int, scratch: QuantizedRows) {
    let config = model.config
    func activations(_ columns: Int) -> Activations {
      Activations(rows, columns, precision: model.precision, scratch: scratch)
    }
    attnNorm = activations(config.dim)
    attnInverse = Buffer(count: rows)
    q = Matrix(rows, config.queryDim)
    k = Matrix(rows, config.kvDim)
    v = Matrix(rows, config.kvDim)
    attnOut = activations(config.queryDim)
    logSum = Matrix(rows, config.headCount)
    middle = Matrix(rows, config.dim)
    ffnNorm = activations(config.dim)
    ffnInverse = Buffer(count: rows)
    gate = Matrix(rows, config.feedForward)
    up = Matrix(rows, config.feedForward)
    act = activations(config.feedForward)
  }

  func low(_ layer: LoRATarget) -> Matrix? { low[layer.index] }

  /// Bytes for one row.
  ///
  /// - Parameter ranks: the sum of the ranks of the adapted layers in one block, the largest such sum.
  static func bytesPerRow(_ c: LlamaConfig, ranks: Int) -> Int {
    let floats = 3 * c.dim + 2 + 2 * c.queryDim + 2 * c.kvDim + c.headCount + 3 * c.feedForward + ranks
    return floats * MemoryLayout<Float>.stride
  }

  /// Values of the widest input of a linear layer, for the shared quantised twin.
  static func widest(_ config: LlamaConfig) -> Int {
    QuantizedRows.room(columns: max(config.dim, config.queryDim, config.feedForward))
  }
}
