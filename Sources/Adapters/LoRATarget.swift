import Tensors

/// The layers that can be adapted, seven in each block, the head and the embedding, in the order files and fingerprints use.
public enum LoRATarget: String, CaseIterable, Sendable {
  case attnQ = "attn_q"
  case attnK = "attn_k"
  case attnV = "attn_v"
  case attnOutput = "attn_output"
  case ffnGate = "ffn_gate"
  case ffnUp = "ffn_up"
  case ffnDown = "ffn_down"
  case output
  case tokenEmbd = "token_embd"

  /// The layers of a block: what `all-linear` names, and all that a tied model lets adapt.
  public static let inBlock = allCases.filter(\.isInBlock)

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
    case .output: "lm_head"
    case .tokenEmbd: "embed_tokens"
    }
  }

  public var isInBlock: Bool { self != .output && self != .tokenEmbd }
  public var isAttention: Bool { [.attnQ, .attnK, .attnV, .attnOutput].contains(self) }

  /// The weight's name in a GGUF file. Head and embedding are in no block.
  public func tensorName(block: Int) -> String {
    isInBlock ? "blk.\(block).\(rawValue).weight" : "\(rawValue).weight"
  }

  /// The target a GGUF weight is, and its block, nil for head and embedding; nil for any other tensor.
  public static func parse(tensorName: String) -> (block: Int?, target: LoRATarget)? {
    for target in [output, tokenEmbd] where tensorName == target.tensorName(block: 0) { return (nil, target) }
    let parts = tensorName.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "blk", parts[3] == "weight", let block = Int(parts[1]),
      let target = LoRATarget(rawValue: String(parts[2])), target.tensorName(block: block) == tensorName
    else { return nil }
    return (block, target)
  }

  /// Where the layer is in Hugging Face's models of the family: `model.layers.3.self_attn.q_proj`.
  func hfPath(block: Int) -> String {
    switch self {
    case .output: hfName
    case .tokenEmbd: "model.\(hfName)"
    default: "model.layers.\(block).\(isAttention ? "self_attn" : "mlp").\(hfName)"
    }
  }

  /// The target such a path names, and its block, nil for head and embedding; nil for any other path.
  static func parse(hfPath: String) -> (block: Int?, target: LoRATarget)? {
    for target in [output, tokenEmbd] where hfPath == target.hfPath(block: 0) { return (nil, target) }
    let parts = hfPath.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 5, let block = Int(parts[2]), let target = inBlock.first(where: { $0.hfName == parts[4] }),
      target.hfPath(block: block) == hfPath
    else { return nil }
    return (block, target)
  }

  /// Reads a list such as `all-linear`, `attention`, `mlp`, or `attn_q,v_proj,output`, in any mixture separated by commas.
  ///
  /// - Parameter isTied: the base shares one matrix between embedding and head, which cannot be adapted then.
  /// - Returns: each target once, in the order of `allCases`.
  /// - Throws: `unknownTarget` with the nearest known name, or `tied`.
  public static func parse(list: String, isTied: Bool) throws(AdapterError) -> [LoRATarget] {
    var chosen = Set<LoRATarget>()
    for part in list.split(separator: ",", omittingEmptySubsequences: false) {
      let name = part.filter { $0 != " " }
      let targets = try targets(named: name)
      if isTied && !targets.allSatisfy(\.isInBlock) { throw .tied(name) }
      chosen.formUnion(targets)
    }
    return allCases.filter(chosen.contains)
  }

  /// Those that one name stands for: a layer's in GGUF or Hugging Face spelling, or a group's.
  static func targets(named name: String) throws(AdapterError) -> [LoRATarget] {
    guard let targets = named[name] else {
      throw .unknownTarget(name, nearest: nearestName(to: name, among: named.keys.sorted()) ?? "all-linear")
    }
    return targets
  }

  private static let named: [String: [LoRATarget]] = {
    var named = [
      "all-linear": inBlock,
      "attention": inBlock.filter(\.isAttention),
      "mlp": inBlock.filter { !$0.isAttention },
    ]
    for target in allCases {
      named[target.rawValue] = [target]
      named[target.hfName] = [target]
    }
    return named
  }()
}
