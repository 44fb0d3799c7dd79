/// What the model's tests share: tiny models with their float64 twins, random adapters and tokens, bits.

import Adapters
import Foundation
import GGUF
import Llama
import ReferenceModel
import Tensors
import TestSupport

/// Tiny models that differ in everything a file can differ in. A weight has variance 2/in, so that attention is far from
/// even and log-probabilities spread over some nats.
enum Tiny: String, CaseIterable, Sendable {
  /// F32, its own head, divided frequencies, two query heads to a key, a vocabulary of two tiles and a bit.
  case float
  /// F16 attention, BF16 feed-forward, every head with its own key.
  case halves
  /// Q8_0, tied, all four heads share one key.
  case bytes
  /// Q4_0, Q4_1, Q5_0 and Q5_1, with its own head.
  case nibbles
  /// Q2_K to Q6_K, heads 64 wide.
  case kQuants
  /// Qwen 2 in Q8_0, tied: biases of q, k and v, pairs that turn in halves.
  case qwen2
  /// Qwen 3: heads that are normed and wider than their share, positions stretched linearly.
  case qwen3
  /// Granite: four scales; and a bias of every layer.
  case granite
  /// Mistral 3: YaRN, queries that grow, and a window shorter than a page.
  case mistral3
  /// Every block with sizes of its own, and longrope.
  case uneven

  var model: TinyModel {
    var tiny = TinyModel()
    tiny.layers = 3
    tiny.seed = 7
    switch self {
    case .float:
      tiny.isTied = false
      tiny.hasRopeFactors = true
      tiny.tokens = (0..<2100).map { "<\($0)>" }
    case .halves:
      tiny.kvHeads = 4
      tiny.format = { $0.contains("ffn") ? .bf16 : .f16 }
    case .bytes:
      tiny.kvHeads = 1
      tiny.ffn = 96
      tiny.format = { _ in .q8_0 }
    case .nibbles:
      tiny.isTied = false
      tiny.format = { tensor in
        tensor.contains("attn") ? .q5_0 : tensor.contains("ffn_down") ? .q4_0 : tensor.contains("ffn") ? .q5_1 : .q4_1
      }
    case .kQuants:
      tiny.dim = 256
      tiny.ffn = 256
      tiny.layers = 2
      tiny.hasRopeFactors = true
      tiny.format = { tensor in
        let part = String(tensor.split(separator: ".").dropLast().last ?? "")
        return ["attn_k": .q2_K, "attn_v": .q3_K, "attn_q": .q4_K, "ffn_up": .q5_K][part] ?? .q6_K
      }
    case .qwen2:
      tiny.architecture = "qwen2"
      tiny.biased = ["attn_q", "attn_k", "attn_v"]
      tiny.format = { _ in .q8_0 }
    case .qwen3:
      tiny.architecture = "qwen3"
      (tiny.headWidth, tiny.normsHeads, tiny.isTied) = (24, true, false)
      tiny.keys = ["rope.scaling.type": .string("linear"), "rope.scaling.factor": .float32(4)]
    case .granite:
      tiny.architecture = "granite"
      tiny.isTied = false
      tiny.biased = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
      tiny.keys = [
        "attention.scale": .float32(0.4), "embedding_scale": .float32(3), "residual_scale": .float32(0.7),
        "logit_scale": .float32(1.25),
      ]
    case .mistral3:
      tiny.architecture = "mistral3"
      tiny.format = { _ in .f16 }
      tiny.keys = [
        "attention.sliding_window": .uint32(20), "attention.temperature_scale": .float32(0.3),
        "rope.scaling.type": .string("yarn"), "rope.scaling.factor": .float32(8),
        "rope.scaling.original_context_length": .uint32(32), "rope.scaling.yarn_beta_fast": .float32(1.5),
        "rope.scaling.yarn_beta_slow": .float32(0.1),
        "rope.scaling.yarn_log_multiplier": .float32(0.5),
      ]
    case .uneven:
      tiny.headWidth = 16
      tiny.sizes = [(4, 2, 128), (6, 1, 96), (2, 2, 160)]
      tiny.hasLongRope = true
      tiny.keys = [
        "rope.scaling.type": .string("longrope"), "rope.scaling.original_context_length": .uint32(64),
        "rope.scaling.attn_factor": .float32(1.2),
      ]
    }
    tiny.deviation = (2 / Float(tiny.dim)).squareRoot()
    return tiny
  }

  func file() throws -> GGUFFile { try model.file() }

  func load(
    _ precision: Precision = .int16, kv: KVFormat = .f32, table: String? = nil, threads: Int = 2
  ) throws -> LlamaModel {
    try file().load(precision, kv: kv, table: table, threads: threads)
  }
}

extension TinyModel {
  func file() throws -> GGUFFile { try writer().file() }
}

extension GGUFWriter {
  /// Written to a folder of its own and opened.
  func file() throws -> GGUFFile {
    let path = try temporaryFolder() + "/tiny.gguf"
    try write(to: path)
    return try GGUFFile.open(path)
  }
}

extension GGUFFile {
  func load(
    _ precision: Precision = .int16, kv: KVFormat = .f32, table: String? = nil, threads: Int = 2
  ) throws -> LlamaModel {
    try LlamaModel(self, precision: precision, kv: kv, kernels: kernels(table, threads: threads))
  }

  /// The same numbers for the twin.
  func twin() throws -> TwinModel {
    let c = try LlamaConfig(metadata)
    var floats: [String: (rows: Int, columns: Int, values: [Float])] = [:]
    for tensor in tensors {
      let view = try weight(tensor.name)
      floats[tensor.name] = (view.rows, view.columns, try self.floats(tensor.name).values)
    }
    var config = TwinConfig(
      dim: c.dim, blockCount: c.blockCount, headCount: c.headCount, kvHeadCount: c.kvHeadCount, headDim: c.headDim,
      ffnDim: c.feedForward, vocabularySize: try weight(TensorName.tokenEmbd).rows, eps: Double(c.normEpsilon),
      ropeBase: Double(c.rope.base))
    try readTheRest(of: metadata, into: &config)
    if let long = floats["rope_factors_long.weight"] { config.ropeFreqs = long.values.map(Double.init) }
    return TwinModel(config: config, floats: floats)
  }

  /// What the keys of a file mean, once more.
  private func readTheRest(of metadata: GGUFMetadata, into config: inout TwinConfig) throws {
    let architecture = try metadata.string("general.architecture")
    func number(_ key: String) throws -> Double? {
      try metadata.optionalFloat("\(architecture).\(key)").map(Double.init)
    }
    config.turnsHalves = architecture.hasPrefix("qwen")
    config.window = try metadata.optionalInt("\(architecture).attention.sliding_window")
    config.attentionScale = try number("attention.scale")
    config.embeddingScale = try number("embedding_scale") ?? 1
    config.residualScale = try number("residual_scale") ?? 1
    config.logitScale = try 1 / (number("logit_scale") ?? 1)
    if case .array = metadata["\(architecture).attention.head_count"] {
      let heads = try metadata.ints("\(architecture).attention.head_count")
      let kvHeads = try metadata.ints("\(architecture).attention.head_count_kv")
      let ffn = try metadata.ints("\(architecture).feed_forward_length")
      for block in heads.indices {
        config.otherBlocks[block] = TwinBlockSizes(
          headCount: heads[block], kvHeadCount: kvHeads[block], ffnDim: ffn[block])
      }
    }
    let factor = try number("rope.scaling.factor") ?? 1
    let original = try metadata.optionalInt("\(architecture).rope.scaling.original_context_length") ?? 0
    config.magnitude = try number("rope.scaling.attn_factor") ?? 1
    config.temperature = try number("attention.temperature_scale").map { TwinTemperature(slope: $0, length: original) }
    switch try metadata.optionalString("\(architecture).rope.scaling.type") {
    case "linear": config.stretch = .linear(factor: factor)
    case "yarn":
      let (fast, slow) = (try number("rope.scaling.yarn_beta_fast"), try number("rope.scaling.yarn_beta_slow"))
      config.stretch = .yarn(factor: factor, original: original, fast: fast ?? 32, slow: slow ?? 1)
      let all = try number("rope.scaling.yarn_log_multiplier") ?? 0
      config.magnitude *= (0.1 * log(factor) + 1) / (0.1 * all * log(factor) + 1)
    default: break
    }
  }

  /// The weights whose inputs precisions `int16` and `int8` round.
  var quantizedNames: Set<String> {
    let isTied = tensor(TensorName.output) == nil
    let products = tensors.filter { $0.name != TensorName.tokenEmbd || isTied }
    return Set(products.filter { $0.format?.isFloat == false }.map(\.name))
  }
}

/// A table this machine has; the best one when `table` is nil.
func kernels(_ table: String? = nil, threads: Int = 2) -> Kernels {
  guard let kernels = Kernels(table: table, threads: threads) else { preconditionFailure("no table \(table ?? "")") }
  return kernels
}

extension LoRAAdapter {
  /// A and B both random, so that every gradient counts (a fresh B of zeros hides A's). A's rows have length 1, and B is
  /// such that the adapted change has about `strength` times the size of the weight's own result.
  static func random(
    _ model: LlamaModel, rank: Int, alpha: Float = 5, strength: Float = 0.3, seed: UInt64 = 3,
    only: (String) -> Bool = { _ in true }
  ) -> LoRAAdapter {
    let modules = model.adaptable.filter { only($0.name) }.map { shape in
      let (stream, scale) = (Seeded(seed, shape.name), alpha / Float(rank))
      let a = stream.normals(rank * (shape.columns + shape.rows), deviation: 1)
      let (ofA, ofB) = (1 / Float(shape.columns).squareRoot(), strength / (scale * Float(rank).squareRoot()))
      return LoRAModule(
        name: shape.name, a: Matrix(rank, shape.columns, a.prefix(rank * shape.columns).map { ofA * $0 }),
        b: Matrix(shape.rows, rank, a.suffix(rank * shape.rows).map { ofB * $0 }))
    }
    return LoRAAdapter(architecture: model.config.architecture.name, alpha: alpha, modules: modules)
  }

  var twin: TwinAdapter {
    TwinAdapter(
      Dictionary(
        uniqueKeysWithValues: modules.map { module in
          (
            module.name,
            TwinLoRA(
              a: TwinTensor(rows: module.a.rows, columns: module.a.columns, floats: module.a.values),
              b: TwinTensor(rows: module.b.rows, columns: module.b.columns, floats: module.b.values),
              scale: Double(scale(of: module)))
          )
        }))
  }
}

extension LlamaModel {
  /// Random token ids.
  func tokens(_ count: Int, seed: UInt64 = 1) -> [TokenID] {
    Seeded(seed).integers(count, below: vocabularySize).map(TokenID.init)
  }

  /// A prompt and answers of these lengths, all random.
  func group(prompt: Int, answers: [Int], seed: UInt64 = 1) -> ScoredGroup {
    ScoredGroup(
      prompt: tokens(prompt, seed: 100 * seed),
      answers: answers.enumerated().map { tokens($1, seed: 100 * seed + 1 + UInt64($0)) })
  }
}

extension ScoredGroup {
  /// Each answer with the prompt to itself.
  var alone: [ScoredGroup] { answers.map { ScoredGroup(prompt: prompt, answers: [$0]) } }
}

/// Equal means equal bits.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }
func bits(_ values: [[Float]]) -> [[UInt32]] { values.map(bits) }
func bits(_ values: [[[Float]]]) -> [[[UInt32]]] { values.map(bits) }

extension Policy {
  /// Log-probability of every token but the first, in one pass.
  func logProbs(_ tokens: [TokenID]) throws -> [Float] {
    let hidden = try ForwardPass(model)([Run(KVSequence(self), tokens.dropLast(), wanted: true)])
    return try Head(model).logProbs(hidden, targets: Array(tokens.dropFirst()))
  }
}
