import Adapters
import GGUF
import Tensors

/// The frozen base: configuration and views into the mapped file. Immutable, so any number of passes and policies share it.
public final class LlamaModel: @unchecked Sendable {
  struct Block {
    let attnNorm: Buffer<Float>
    /// Norms of each head of q and k, `[E]`; nil in architectures without.
    let headNorms: (q: Buffer<Float>, k: Buffer<Float>)?
    let ffnNorm: Buffer<Float>
    /// In the order of `LoRATarget.inBlock`, like `biases`.
    let linear: [WeightView]
    let biases: [Buffer<Float>?]

    subscript(_ layer: LoRATarget) -> WeightView { linear[layer.index] }
    func bias(_ layer: LoRATarget) -> Buffer<Float>? { biases[layer.index] }
  }

  public let config: LlamaConfig
  /// As the file has it.
  public let name: String?
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
  /// Times the scale of the logits, which comes to the same.
  let outputNorm: Buffer<Float>
  let blocks: [Block]
  /// What a reward model has in place of, or beside, the head: one score of a text, read at its last token.
  public let rewardHead: RewardHead?
  let rotary: RotaryFrequencies

  public var vocabularySize: Int { tokenEmbd.rows }

  /// Heads and widths of one block's attention.
  public func attention(_ block: Int) -> AttentionShape { attention(config.blocks[block]) }

  func attention(_ block: LlamaConfig.Block) -> AttentionShape {
    AttentionShape(
      heads: block.headCount, kvHeads: block.kvHeadCount, headDim: config.headDim, scale: config.scales.attention,
      kv: kv, window: config.window)
  }

  /// Bytes of a page of the block that needs the most.
  public var largestPageBytes: Int { Set(config.blocks).map { attention($0).pageBytes }.max() ?? 0 }

  /// Name and shape of every linear layer of the blocks, block by block.
  public var blockLayers: [LoRAShape] {
    (0..<config.blockCount).flatMap { block in
      LoRATarget.inBlock.map { layer in
        let shape = layer.shape(config, block: block, vocabulary: vocabularySize)
        return (layer.tensorName(block: block), shape.rows, shape.columns)
      }
    }
  }
  /// Name and shape of every layer an adapter can change: those of the blocks and, unless they are tied, head and embedding. What
  /// goes into an embedding is one of the vocabulary.
  public var adaptable: [LoRAShape] {
    let ends = [
      (TensorName.output, output.rows, output.columns), (TensorName.tokenEmbd, tokenEmbd.columns, tokenEmbd.rows),
    ]
    return isTied ? blockLayers : blockLayers + ends
  }

  /// What an adapter is read and checked against.
  public var loraBase: LoRABase {
    LoRABase(
      architecture: config.architecture.name, name: name, headDim: config.headDim,
      pairs: config.architecture.rotaryPairs, layers: adaptable, isTied: isTied)
  }

  /// Finds every tensor in the mapped file and checks its shape. Nothing big is copied: norms and biases only.
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
    name = file.metadata["general.name"]?.asString
    self.precision = precision
    self.kv = kv
    self.kernels = kernels
    self.context = context ?? config.contextLength

    let tensors = TensorReader(file)
    tokenEmbd = try tensors.weight(TensorName.tokenEmbd, nil, config.dim)
    let vocabulary = tokenEmbd.rows
    isTied = !tensors.has(TensorName.output)
    output = isTied ? tokenEmbd : try tensors.weight(TensorName.output, vocabulary, config.dim)
    outputNorm = try tensors.floats(TensorName.outputNorm, config.dim)
    if config.scales.logits != 1 {
      for i in 0..<config.dim { outputNorm[i] *= config.scales.logits }
    }
    blocks = try (0..<config.blockCount).map { block in
      let shapes = LoRATarget.inBlock.map { ($0, $0.shape(config, block: block, vocabulary: vocabulary)) }
      return Block(
        attnNorm: try tensors.floats(TensorName.attnNorm(block), config.dim),
        headNorms: config.architecture.normsHeads
          ? (
            q: try tensors.floats(TensorName.attnQNorm(block), config.headDim),
            k: try tensors.floats(TensorName.attnKNorm(block), config.headDim)
          ) : nil,
        ffnNorm: try tensors.floats(TensorName.ffnNorm(block), config.dim),
        linear: try shapes.map { layer, shape in
          try tensors.weight(layer.tensorName(block: block), shape.rows, shape.columns)
        },
        biases: try shapes.map { layer, shape in
          try tensors.optionalFloats(layer.biasName(block: block), shape.rows)
        })
    }
    rewardHead = try tensors.rewardHead(config.dim)
    rotary = try RotaryFrequencies(config, divisors: tensors.ropeDivisors(config, context: self.context))
    try tensors.refuseTheRest()
  }

  func check(_ tokens: some Sequence<UInt32>) throws {
    for token in tokens where Int(token) >= vocabularySize {
      throw LlamaError.token(token, vocabulary: vocabularySize)
    }
  }
}
