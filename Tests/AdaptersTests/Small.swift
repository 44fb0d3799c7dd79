import Adapters
import Tensors
import TestSupport

/// Two blocks of a small model: 4 query heads and 2 key/value heads of width 4.
enum Small {
  static let heads = 4
  static let kvHeads = 2
  static let headDim = 4

  static let shapes: [LoRAShape] = (0..<2).flatMap { block in
    [
      ("attn_q", 16, 16), ("attn_k", 8, 16), ("attn_v", 8, 16), ("attn_output", 16, 16),
      ("ffn_gate", 24, 16), ("ffn_up", 24, 16), ("ffn_down", 16, 24),
    ].map { ("blk.\(block).\($0.0).weight", $0.1, $0.2) }
  }

  static func base(_ pairs: RotaryPairs = .neighbours, isTied: Bool = true, name: String? = nil) -> LoRABase {
    LoRABase(
      architecture: "llama", name: name, headDim: headDim, pairs: pairs,
      layers: isTied ? shapes : shapes + [("output.weight", 40, 16), ("token_embd.weight", 16, 40)], isTied: isTied)
  }

  static var names: [String] { shapes.map(\.name) }

  /// Random A and B everywhere.
  static func adapter(rank: Int, alpha: Float) -> LoRAAdapter {
    adapter(alpha: alpha) { _ in rank }
  }

  static func adapter(alpha: Float, rank: (String) -> Int) -> LoRAAdapter {
    let modules = shapes.map { shape in
      let rank = rank(shape.name)
      return LoRAModule(
        name: shape.name,
        a: Matrix(rank, shape.columns, Seeded(1, shape.name).floats(rank * shape.columns)),
        b: Matrix(shape.rows, rank, Seeded(2, shape.name).floats(shape.rows * rank)))
    }
    return LoRAAdapter(architecture: "llama", alpha: alpha, modules: modules)
  }
}
