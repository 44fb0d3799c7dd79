import Adapters
import GGUF
import Tensors

/// The frozen base: configuration and views into the mapped file. Immutable, so any number of passes and policies share it.
public final class LlamaModel: @unchecked Sendable {
  struct Block {
    let attnNorm: Buffer<Float>
    let ffnNorm: Buffer<Float>
    /// In the order of `LoRATarget.inBlock`.
    let linear: [WeightView]

    subscript(_ layer: LoRATarget) -> WeightView { linear[layer.index] }
  }

  public let config: LlamaConfig
  public let precision: Precision
  /// How its sequences keep keys and values.
  public let kv: KVFormat
  public let kernels: Kernels
  /// Positions a sequence can have: the `--ctx` option, or the model's own limit.
  public let context: Int
  public let tokenEmbd: WeightView
  /// The head; the embedding again when the file has none of its own.
  public let output: WeightView
  public let isTied: Bool
  let outputNorm: Buffer<Float>
  let blocks: [Block]
  let rotary: RotaryFrequencies

  public var vocabularySize: Int { tokenEmbd.rows }
  public var attention: AttentionShape {
    AttentionShape(
      heads: config.headCount, kvHeads: config.kvHeadCount, headDim: config.headDim,
      scale: 1 / Float(config.headDim).squareRoot(), kv: kv)
  }
  /// Name and shape of every linear layer of the blocks, block by block.
  public var blockLayers: [LoRAShape] {
    (0..<config.blockCount).flatMap { block in
      LoRATarget.inBlock.map { layer in
        let shape = layer.shape(config, vocabulary: vocabularySize)
        return (layer.tensorName(block: block), shape.rows, shape.columns)
      }
    }
  }
  /// Name and shape of every layer an adapter can change: those of the blocks and, unless it is tied, the head.
  public var adaptable: [LoRAShape] {
    isTied ? blockLayers : blockLayers + [(TensorName.output, output.rows, output.columns)]
  }

  /// Finds every tensor in the mapped file and checks its shape. Nothing big is copied: norms only.
  ///
  /// - Parameter context: positions a sequence may have; nil takes the model's own limit.
  /// - Throws: `LlamaError`, `GGUFError`.
  public init(
    _ file: GGUFFile, precision: Precision, kv: KVFormat = .f32, kernels: Kernels, context: Int? = nil
  ) throws {
    let config = try LlamaConfig(file.metadata)
    if let context, context > config.contextLength {
      throw LlamaError.contextExceeded(needed: context, limit: config.contextLength)
    }
    guard config.blockCount <= file.tensors.count else {
      throw LlamaError.inconsistent("\(config.blockCount) blocks cannot be in a file of \(file.tensors.count) tensors")
    }
    guard kv.fits(headDim: config.headDim) else { throw LlamaError.headNotInBlocks(kv, headDim: config.headDim) }
    self.config = config
    self.precision = precision
    self.kv = kv
    self.kernels = kernels
    self.context = context ?? config.contextLength

    func weight(_ name: String, _ rows: Int?, _ columns: Int) throws -> WeightView {
      let view = try file.weight(name)
      guard view.columns == columns, view.rows == rows ?? view.rows else {
        throw LlamaError.shape(tensor: name, found: [view.rows, view.columns], expected: [rows ?? view.rows, columns])
      }
      return view
    }
    func floats(_ name: String, _ count: Int) throws -> Buffer<Float> {
      let buffer = try file.floats(name)
      guard buffer.count == count else {
        throw LlamaError.shape(tensor: name, found: [buffer.count], expected: [count])
      }
      return buffer
    }

    tokenEmbd = try weight(TensorName.tokenEmbd, nil, config.dim)
    isTied = file.tensor(TensorName.output) == nil
    output = isTied ? tokenEmbd : try weight(TensorName.output, tokenEmbd.rows, config.dim)
    outputNorm = try floats(TensorName.outputNorm, config.dim)
    let vocabulary = tokenEmbd.rows
    blocks = try (0..<config.blockCount).map { block in
      Block(
        attnNorm: try floats(TensorName.attnNorm(block), config.dim),
        ffnNorm: try floats(TensorName.ffnNorm(block), config.dim),
        linear: try LoRATarget.inBlock.map { layer in
          let shape = layer.shape(config, vocabulary: vocabulary)
          return try weight(layer.tensorName(block: block), shape.rows, shape.columns)
        })
    }
    let divisors =
      file.tensor(TensorName.ropeFreqs) == nil ? nil : try floats(TensorName.ropeFreqs, config.headDim / 2)
    rotary = try RotaryFrequencies(config, divisors: divisors)
  }

  func check(_ tokens: some Sequence<UInt32>) throws {
    for token in tokens where Int(token) >= vocabularySize {
      throw LlamaError.token(token, vocabulary: vocabularySize)
    }
  }
}
