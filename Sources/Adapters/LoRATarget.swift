import Tensors

/// The seven linear layers of a block that can be adapted, in the order files and fingerprints use.
public enum LoRATarget: String, CaseIterable, Sendable {
  case attnQ = "attn_q"
  case attnK = "attn_k"
  case attnV = "attn_v"
  case attnOutput = "attn_output"
  case ffnGate = "ffn_gate"
  case ffnUp = "ffn_up"
  case ffnDown = "ffn_down"

  /// The layer's short name in Hugging Face models.
  public var hfName: String {
    switch self {
    case .attnQ: "q_proj"
    case .attnK: "k_proj"
    case .attnV: "v_proj"
    case .attnOutput: "o_proj"
    case .ffnGate: "gate_proj"
    case .ffnUp: "up_proj"
    case .ffnDown: "down_proj"
    }
  }

  public var isAttention: Bool { [.attnQ, .attnK, .attnV, .attnOutput].contains(self) }

  /// The weight's name in a GGUF file.
  public func tensorName(block: Int) -> String { "blk.\(block).\(rawValue).weight" }

  /// The block and target a GGUF weight belongs to; nil for any other tensor.
  public static func parse(tensorName: String) -> (block: Int, target: LoRATarget)? {
    let parts = tensorName.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "blk", parts[3] == "weight", let block = Int(parts[1]),
      let target = LoRATarget(rawValue: String(parts[2])), target.tensorName(block: block) == tensorName
    else { return nil }
    return (block, target)
  }

  /// Reads a list such as `all-linear`, `attention`, `mlp`, or `attn_q,v_proj`, in any mixture separated by commas.
  ///
  /// - Parameter isTied: the base shares one matrix between embedding and head, which decides why those are refused.
  /// - Returns: each target once, in the order of `allCases`.
  /// - Throws: `unknownTarget` with the nearest known name, or `headOrEmbedding`.
  public static func parse(list: String, isTied: Bool) throws(AdapterError) -> [LoRATarget] {
    var chosen = Set<LoRATarget>()
    for part in list.split(separator: ",", omittingEmptySubsequences: false) {
      let name = part.filter { $0 != " " }
      if let targets = named[name] {
        chosen.formUnion(targets)
      } else if headAndEmbedding.contains(name) {
        throw .headOrEmbedding(name, isTied: isTied)
      } else {
        throw .unknownTarget(name, nearest: nearestName(to: name, among: named.keys.sorted()) ?? "all-linear")
      }
    }
    return allCases.filter(chosen.contains)
  }

  /// Their names in GGUF and in Hugging Face models.
  static let headAndEmbedding: Set<String> = ["output", "lm_head", "token_embd", "embed_tokens"]

  private static let named: [String: [LoRATarget]] = {
    var named = [
      "all-linear": allCases,
      "attention": allCases.filter(\.isAttention),
      "mlp": allCases.filter { !$0.isAttention },
    ]
    for target in allCases {
      named[target.rawValue] = [target]
      named[target.hfName] = [target]
    }
    return named
  }()
}
