import Adapters
import GGUF
import Llama
import Tensors
import Tokenization
import Training

/// What `inspect` shows. Sizes in bytes.
struct ModelFacts: Encodable {
  struct Format: Encodable {
    let format: String
    let tensors: Int
    let bytes: Int
  }

  struct Tensor: Encodable {
    let name: String
    let format: String
    let dimensions: [Int]
    let bytes: Int
  }

  struct TokenizerFacts: Encodable {
    let model: String
    let pre: String?
    let vocabulary: Int
    let bos: TokenID?
    let eos: TokenID?
    let endTokens: [TokenID]
    let addsBOS: Bool
  }

  /// What is needed beside the program.
  struct Memory: Encodable {
    /// Pages of the mapped file that every use touches.
    let weights: Int
    let lengths: [Length]
  }

  /// For sequences of so many tokens.
  struct Length: Encodable {
    let tokens: Int
    /// One sequence.
    let generate: Int
    let score: Int
    /// A pair: a prompt of half the tokens, answers of the other half; rank 16 on all layers, every block computed again in
    /// the backward.
    let train: Int
  }

  struct CPU: Encodable {
    let kernels: String
    let available: [String]
    let threads: Int
    let grid: KernelGrid
  }

  let path: String
  /// Of a split model all of them.
  let files: [String]
  let architecture: String
  let name: String?
  let parameters: Int
  let blocks: Int
  let width: Int
  // The most of any block.
  let feedForward: Int
  let heads: Int
  let kvHeads: Int
  let headWidth: Int
  let context: Int
  let slidingWindow: Int?
  let ropeBase: Float
  /// In words.
  let ropeScaling: String
  let tiedOutput: Bool
  let formats: [Format]
  let tokenizer: TokenizerFacts
  let chatTemplate: Bool
  let memory: Memory
  let tensors: [Tensor]?
  let cpu: CPU?

  /// - Parameter lengths: of sequences, each at most the context.
  init(_ session: Session, lengths: [Int], listsTensors: Bool, showsCPU: Bool) throws {
    let (file, model, config) = (session.file, session.model, session.model.config)
    path = file.path
    files = file.paths
    architecture = config.architecture.name
    name = try file.metadata.optionalString("general.name")
    parameters = file.tensors.reduce(0) { $0 + $1.elementCount }
    (blocks, width, feedForward) = (config.blockCount, config.dim, config.feedForward)
    (heads, kvHeads, headWidth) = (config.headCount, config.kvHeadCount, config.headDim)
    context = config.contextLength
    slidingWindow = config.window
    (ropeBase, ropeScaling) = (config.rope.base, config.rope.scaling.words)
    tiedOutput = model.isTied
    formats = Dictionary(grouping: file.tensors, by: \.formatName)
      .map { Format(format: $0, tensors: $1.count, bytes: $1.reduce(0) { $0 + $1.byteCount }) }
      .sorted { ($0.bytes, $1.format) > ($1.bytes, $0.format) }
    tokenizer = TokenizerFacts(
      model: try file.metadata.string("tokenizer.ggml.model"),
      pre: try file.metadata.optionalString("tokenizer.ggml.pre"), vocabulary: session.tokenizer.vocabularySize,
      bos: session.tokenizer.bos, eos: session.tokenizer.eos, endTokens: session.tokenizer.endTokens.sorted(),
      addsBOS: session.tokenizer.addsBOS)
    chatTemplate = try ChatTemplate.inFile(file.metadata) != nil
    memory = Memory(
      weights: file.tensors.reduce(0) { $0 + $1.byteCount }, lengths: lengths.map { Length(model, tokens: $0) })
    tensors =
      listsTensors
      ? file.tensors.map {
        Tensor(name: $0.name, format: $0.formatName, dimensions: $0.dimensions, bytes: $0.byteCount)
      } : nil
    cpu =
      showsCPU
      ? CPU(
        kernels: model.kernels.name, available: Kernels.available, threads: model.kernels.threads,
        grid: KernelGrid(model.kernels)) : nil
  }
}

extension ModelFacts.Length {
  init(_ model: LlamaModel, tokens length: Int) {
    let (rows, rank) = (512, 16)
    let pages = (length + AttentionShape.pagePositions - 1) / AttentionShape.pagePositions
    let sequence =
      ForwardPass.bytes(model.config, maximumRows: rows) + pages * KVSequence.pageBytes(model)
    let adapter = model.blockLayers.reduce(0) {
      $0 + TrainingPlan.adapterBytes(rank: rank, inputs: $1.columns, outputs: $1.rows)
    }
    let prompt = [TokenID](repeating: 0, count: max(1, length / 2))
    let answer = [TokenID](repeating: 0, count: max(1, length - prompt.count))
    let pair = ScoredGroup(prompt: prompt, answers: [answer, answer])
    let training = TrainingPass.Bytes(
      model, ranks: rank * LoRATarget.inBlock.count, maximumRows: pair.rows, targets: pair.targets, pages: pair.pages)
    tokens = length
    (generate, score) = (sequence, sequence)
    train = training.base + training.head + adapter
  }
}

extension RopeConfig.Scaling {
  fileprivate var words: String {
    switch self {
    case .none: "none"
    case .linear(let factor): "linear by \(factor)"
    case .yarn(let factor, let original, _, _): "YaRN by \(factor) beyond \(original)"
    case .longrope(let original): "longrope beyond \(original)"
    }
  }
}
