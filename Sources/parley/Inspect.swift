import Adapters
import ArgumentParser
import GGUF
import Llama
import Tensors
import Tokenization
import Training

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a model file is and what it needs in memory.")

  @OptionGroup var model: ModelOptions

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Show the processor: kernel tables, threads.")
  var cpu = false

  @Flag(help: "One JSON object.")
  var json = false

  func run() throws {
    let session = try Session(model, NoiseOptions.none)
    let facts = try ModelFacts(session, listsTensors: tensors, showsCPU: cpu)
    if json { try Output.json(facts) } else { try Output.text(facts.text) }
  }
}

extension NoiseOptions {
  /// For commands that have nothing to say besides their result.
  static var none: NoiseOptions {
    var options = NoiseOptions()
    options.quiet = true
    options.verbose = false
    return options
  }
}

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

  struct Memory: Encodable {
    /// Pages of the mapped file that every use touches.
    let weights: Int
    /// One sequence of 2048 positions, or of the whole context if that is less.
    let generate: Int
    let score: Int
    /// A pair, prompt and answers of 256 tokens each; rank 16 on all layers, every block computed again in the backward.
    let train: Int
  }

  struct CPU: Encodable {
    let kernels: String
    let available: [String]
    let threads: Int
    let grid: KernelGrid
  }

  let path: String
  let architecture: String
  let name: String?
  let parameters: Int
  let blocks: Int
  let width: Int
  let feedForward: Int
  let heads: Int
  let kvHeads: Int
  let headWidth: Int
  let context: Int
  let tiedOutput: Bool
  let formats: [Format]
  let tokenizer: TokenizerFacts
  let chatTemplate: Bool
  let memory: Memory
  let tensors: [Tensor]?
  let cpu: CPU?

  init(_ session: Session, listsTensors: Bool, showsCPU: Bool) throws {
    let (file, model, config) = (session.file, session.model, session.model.config)
    path = file.path
    architecture = try file.metadata.string("general.architecture")
    name = try file.metadata.optionalString("general.name")
    parameters = file.tensors.reduce(0) { $0 + $1.elementCount }
    (blocks, width, feedForward) = (config.blockCount, config.dim, config.feedForward)
    (heads, kvHeads, headWidth) = (config.headCount, config.kvHeadCount, config.headDim)
    context = config.contextLength
    tiedOutput = model.isTied
    formats = Dictionary(grouping: file.tensors, by: \.formatName)
      .map { Format(format: $0, tensors: $1.count, bytes: $1.reduce(0) { $0 + $1.byteCount }) }
      .sorted { $0.bytes > $1.bytes }
    tokenizer = TokenizerFacts(
      model: try file.metadata.string("tokenizer.ggml.model"),
      pre: try file.metadata.optionalString("tokenizer.ggml.pre"), vocabulary: session.tokenizer.vocabularySize,
      bos: session.tokenizer.bos, eos: session.tokenizer.eos, endTokens: session.tokenizer.endTokens.sorted(),
      addsBOS: session.tokenizer.addsBOS)
    chatTemplate = try ChatTemplate.inFile(file.metadata) != nil
    memory = Memory(model, weights: file.tensors.reduce(0) { $0 + $1.byteCount })
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

  var text: String {
    var lines: [(String, String)] = [
      ("file", path), ("name", name ?? "none given"), ("architecture", architecture),
      ("parameters", "\(parameters)"),
      ("shape", "\(blocks) blocks, width \(width), feed-forward \(feedForward)"),
      ("attention", "\(heads) heads of \(headWidth), \(kvHeads) for keys and values"),
      ("context", "\(context)"), ("output", tiedOutput ? "tied to the embedding" : "a matrix of its own"),
      (
        "formats",
        formats.map { "\($0.format) ×\($0.tensors) (\(mebibytes($0.bytes)))" }.joined(separator: ", ")
      ),
      (
        "tokenizer",
        "\(tokenizer.model)/\(tokenizer.pre ?? "default"), \(tokenizer.vocabulary) tokens, "
          + (tokenizer.addsBOS ? "adds BOS" : "adds no BOS")
      ),
      ("chat template", chatTemplate ? "yes" : "no"),
      ("to generate", "\(mebibytes(memory.generate)) beside \(mebibytes(memory.weights)) of mapped weights"),
      ("to score", "\(mebibytes(memory.score)) beside them"),
      ("to train", "\(mebibytes(memory.train)) beside them, more with blocks kept"),
    ]
    if let cpu {
      lines.append(("kernels", "\(cpu.kernels) (of \(cpu.available.joined(separator: ", ")))"))
      lines.append(("threads", "\(cpu.threads)"))
    }
    let table = lines.map { $0.0.padding(toLength: 15, withPad: " ", startingAt: 0) + $0.1 + "\n" }.joined()
    let list = (tensors ?? []).map { "\($0.name)  \($0.format)  \($0.dimensions)\n" }.joined()
    return table + (cpu.map { "\n" + $0.grid.text } ?? "") + list
  }
}

extension ModelFacts.Memory {
  init(_ model: LlamaModel, weights: Int) {
    let (rows, rank) = (512, 16)
    let pages = { (positions: Int) in
      let count = (positions + AttentionShape.pagePositions - 1) / AttentionShape.pagePositions
      return count * KVSequence.pageBytes(model)
    }
    let forward = ForwardPass.bytes(model.config, maximumRows: rows)
    let adapter = model.blockLayers.reduce(0) {
      $0 + TrainingPlan.adapterBytes(rank: rank, inputs: $1.columns, outputs: $1.rows)
    }
    let tokens = [TokenID](repeating: 0, count: 256)
    let pair = ScoredGroup(prompt: tokens, answers: [tokens, tokens])
    let training = TrainingPass.Bytes(
      model, ranks: rank * LoRATarget.inBlock.count, maximumRows: pair.rows, targets: pair.targets, pages: pair.pages)
    self.weights = weights
    generate = forward + pages(min(model.context, 2048))
    score = forward + pages(rows)
    train = training.base + training.head + adapter
  }
}

/// `12.3 MiB`
func mebibytes(_ bytes: Int) -> String {
  let tenths = (Double(bytes) / 104_857.6).rounded()
  return "\(tenths / 10) MiB"
}
