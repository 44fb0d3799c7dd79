import GGUF
import Tensors

/// A small random model of the family, as a GGUF file with everything a real one has.
public struct TinyModel: Sendable {
  public var architecture = "llama"
  public var dim = 64
  public var layers = 2
  public var heads = 4
  public var kvHeads = 2
  public var ffn = 128
  /// Width of a head; nil is `dim / heads`.
  public var headWidth: Int?
  /// Heads, key/value heads and feed-forward width of each block; nil is the same for all.
  public var sizes: [(heads: Int, kvHeads: Int, ffn: Int)]?
  public var contextLength = 256
  /// Tied: no `output.weight`, the head reads `token_embd.weight`.
  public var isTied = true
  /// With `rope_freqs.weight`, as Llama 3.1 has.
  public var hasRopeFactors = false
  /// With longrope's two lists of factors.
  public var hasLongRope = false
  /// Layers with a bias.
  public var biased: [String] = []
  /// With norms of the heads of q and k, as Qwen 3 has.
  public var normsHeads = false
  /// More keys of the architecture, without its prefix.
  public var keys: [String: GGUFValue] = [:]
  /// The format of a matrix, by its name. Norms and factors are F32 always.
  public var format: @Sendable (_ tensor: String) -> WeightFormat = { _ in .f32 }
  /// Of the weights.
  public var deviation: Float = 0.05
  public var seed: UInt64 = 1

  public var tokens = TinyModel.byteTokens
  public var merges: [String] = []
  public var preTokenizer = "smollm"
  public var bos: UInt32 = 1
  public var eos: UInt32 = 2
  public var addsBOS = false
  public var chatTemplate: String?

  public init() {}

  public var vocab: Int { tokens.count }
  public var headDim: Int { headWidth ?? dim / heads }

  /// `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`, then the 256 bytes in the spelling of byte-level BPE.
  public static let byteTokens: [String] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + byteLevelAlphabet

  public func write(to path: String) throws { try writer().write(to: path) }

  /// Everything the file will have, for tests that change it first.
  public func writer() -> GGUFWriter {
    var writer = GGUFWriter()
    describe(&writer)
    addMatrix(&writer, "token_embd.weight", rows: vocab, columns: dim)
    for block in 0..<layers {
      let (heads, kvHeads, ffn) = sizes?[block] ?? (heads, kvHeads, ffn)
      let prefix = "blk.\(block)."
      func add(_ layer: String, rows: Int, columns: Int) {
        addMatrix(&writer, prefix + layer + ".weight", rows: rows, columns: columns)
        guard biased.contains(layer) else { return }
        let name = prefix + layer + ".bias"
        writer.add(name: name, dimensions: [rows], floats: Seeded(seed, name).normals(rows, deviation: 0.3))
      }
      addNorm(&writer, prefix + "attn_norm.weight", dim)
      add("attn_q", rows: heads * headDim, columns: dim)
      add("attn_k", rows: kvHeads * headDim, columns: dim)
      add("attn_v", rows: kvHeads * headDim, columns: dim)
      for norm in ["attn_q_norm", "attn_k_norm"] where normsHeads {
        addNorm(&writer, prefix + norm + ".weight", headDim)
      }
      add("attn_output", rows: dim, columns: heads * headDim)
      addNorm(&writer, prefix + "ffn_norm.weight", dim)
      add("ffn_gate", rows: ffn, columns: dim)
      add("ffn_up", rows: ffn, columns: dim)
      add("ffn_down", rows: dim, columns: ffn)
    }
    addNorm(&writer, "output_norm.weight", dim)
    if !isTied { addMatrix(&writer, "output.weight", rows: vocab, columns: dim) }
    // From 1 to 8, as real files have, but in even steps.
    if hasRopeFactors { addFactors(&writer, "rope_freqs.weight", to: 8) }
    if hasLongRope {
      addFactors(&writer, "rope_factors_short.weight", to: 2)
      addFactors(&writer, "rope_factors_long.weight", to: 16)
    }
    return writer
  }

  private func describe(_ writer: inout GGUFWriter) {
    func number(_ key: String, _ value: Int) { writer.set(architecture + "." + key, .uint32(UInt32(value))) }
    func numbers(_ key: String, _ values: [Int]) {
      writer.set(architecture + "." + key, .array(.uint32, values.map { .uint32(UInt32($0)) }))
    }
    writer.set("general.architecture", .string(architecture))
    writer.set("general.name", .string("tiny"))
    number("block_count", layers)
    number("context_length", contextLength)
    number("embedding_length", dim)
    if let sizes {
      numbers("feed_forward_length", sizes.map(\.ffn))
      numbers("attention.head_count", sizes.map(\.heads))
      numbers("attention.head_count_kv", sizes.map(\.kvHeads))
    } else {
      number("feed_forward_length", ffn)
      number("attention.head_count", heads)
      number("attention.head_count_kv", kvHeads)
    }
    if let headWidth {
      number("attention.key_length", headWidth)
      number("attention.value_length", headWidth)
    }
    writer.set(architecture + ".attention.layer_norm_rms_epsilon", .float32(1e-5))
    number("rope.dimension_count", headDim)
    writer.set(architecture + ".rope.freq_base", .float32(10000))
    number("vocab_size", vocab)
    for (key, value) in keys.sorted(by: { $0.key < $1.key }) { writer.set(architecture + "." + key, value) }

    writer.set("tokenizer.ggml.model", .string("gpt2"))
    writer.set("tokenizer.ggml.pre", .string(preTokenizer))
    writer.set("tokenizer.ggml.tokens", .strings(tokens))
    let isControl = { (token: String) in token.hasPrefix("<|") && token.hasSuffix("|>") }
    writer.set("tokenizer.ggml.token_type", .int32s(tokens.map { isControl($0) ? 3 : 1 }))
    writer.set("tokenizer.ggml.merges", .strings(merges))
    writer.set("tokenizer.ggml.bos_token_id", .uint32(bos))
    writer.set("tokenizer.ggml.eos_token_id", .uint32(eos))
    writer.set("tokenizer.ggml.add_bos_token", .bool(addsBOS))
    if let chatTemplate { writer.set("tokenizer.chat_template", .string(chatTemplate)) }
  }

  private func addMatrix(_ writer: inout GGUFWriter, _ name: String, rows: Int, columns: Int) {
    let format = format(name)
    let random = Seeded(seed, name)
    let bytes =
      WeightFormat.kFormats.contains(format)
      ? format.randomBlocks(values: rows * columns, deviation: deviation, random)
      : format.encoded(random.normals(rows * columns, deviation: deviation))
    writer.add(name: name, dimensions: [columns, rows], format: format, bytes: bytes)
  }

  private func addNorm(_ writer: inout GGUFWriter, _ name: String, _ width: Int) {
    writer.add(
      name: name, dimensions: [width], floats: Seeded(seed, name).normals(width, deviation: 0.1).map { 1 + $0 })
  }

  private func addFactors(_ writer: inout GGUFWriter, _ name: String, to last: Float) {
    let count = headDim / 2
    let factors = (0..<count).map { 1 + (last - 1) * Float($0) / Float(max(count - 1, 1)) }
    writer.add(name: name, dimensions: [count], floats: factors)
  }

  /// Printable Latin-1 bytes stand for themselves; the others, in order, for the characters from U+0100 on.
  private static let byteLevelAlphabet: [String] = {
    var next: UInt32 = 0x100
    return (0..<256).map { (byte: UInt32) in
      if (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte) {
        return Unicode.Scalar(byte).map { String($0) } ?? ""
      }
      defer { next += 1 }
      return Unicode.Scalar(next).map { String($0) } ?? ""
    }
  }()
}
