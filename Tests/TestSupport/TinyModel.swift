import GGUF
import Tensors

/// A small random model of the `llama` architecture, as a GGUF file with everything a real one has.
public struct TinyModel: Sendable {
  public var dim = 64
  public var layers = 2
  public var heads = 4
  public var kvHeads = 2
  public var ffn = 128
  public var contextLength = 256
  /// Tied: no `output.weight`, the head reads `token_embd.weight`.
  public var isTied = true
  /// With `rope_freqs.weight`, as Llama 3.1 has.
  public var hasRopeFactors = false
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
  public var headDim: Int { dim / heads }

  /// `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`, then the 256 bytes in the spelling of byte-level BPE.
  public static let byteTokens: [String] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + byteLevelAlphabet

  public func write(to path: String) throws { try writer().write(to: path) }

  /// Everything the file will have, for tests that change it first.
  public func writer() -> GGUFWriter {
    var writer = GGUFWriter()
    describe(&writer)
    addMatrix(&writer, "token_embd.weight", rows: vocab, columns: dim)
    for block in 0..<layers {
      let prefix = "blk.\(block)."
      addNorm(&writer, prefix + "attn_norm.weight")
      addMatrix(&writer, prefix + "attn_q.weight", rows: dim, columns: dim)
      addMatrix(&writer, prefix + "attn_k.weight", rows: kvHeads * headDim, columns: dim)
      addMatrix(&writer, prefix + "attn_v.weight", rows: kvHeads * headDim, columns: dim)
      addMatrix(&writer, prefix + "attn_output.weight", rows: dim, columns: dim)
      addNorm(&writer, prefix + "ffn_norm.weight")
      addMatrix(&writer, prefix + "ffn_gate.weight", rows: ffn, columns: dim)
      addMatrix(&writer, prefix + "ffn_up.weight", rows: ffn, columns: dim)
      addMatrix(&writer, prefix + "ffn_down.weight", rows: dim, columns: ffn)
    }
    addNorm(&writer, "output_norm.weight")
    if !isTied { addMatrix(&writer, "output.weight", rows: vocab, columns: dim) }
    if hasRopeFactors {
      // From 1 to 8, as real files have, but in even steps.
      let count = headDim / 2
      let factors = (0..<count).map { 1 + 7 * Float($0) / Float(max(count - 1, 1)) }
      writer.add(name: "rope_freqs.weight", dimensions: [count], floats: factors)
    }
    return writer
  }

  private func describe(_ writer: inout GGUFWriter) {
    func number(_ key: String, _ value: Int) { writer.set("llama." + key, .uint32(UInt32(value))) }
    writer.set("general.architecture", .string("llama"))
    writer.set("general.name", .string("tiny"))
    number("block_count", layers)
    number("context_length", contextLength)
    number("embedding_length", dim)
    number("feed_forward_length", ffn)
    number("attention.head_count", heads)
    number("attention.head_count_kv", kvHeads)
    writer.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
    number("rope.dimension_count", headDim)
    writer.set("llama.rope.freq_base", .float32(10000))
    number("vocab_size", vocab)

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

  private func addNorm(_ writer: inout GGUFWriter, _ name: String) {
    writer.add(name: name, dimensions: [dim], floats: Seeded(seed, name).normals(dim, deviation: 0.1).map { 1 + $0 })
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
