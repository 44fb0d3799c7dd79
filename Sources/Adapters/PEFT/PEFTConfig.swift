/// What `adapter_config.json` of a PEFT folder says about the scale of each layer. Which layers are adapted, the tensors say.

struct PEFTConfig {
  let rank: Int
  let alpha: Double
  let isRankStabilised: Bool
  let base: String?
  private let ranks: PEFTPattern
  private let alphas: PEFTPattern
  private let path: String

  /// Settings that would change results and are not there. (`bias` and `init_lora_weights` are looked at by value.)
  private static let unsupported = [
    "use_dora": "DoRA", "use_qalora": "QALoRA", "use_bdlora": "block-diagonal LoRA", "modules_to_save": "whole layers",
    "lora_bias": "biases of adapters", "layer_replication": "replicated layers",
    "trainable_token_indices": "trained tokens", "alora_invocation_tokens": "activated LoRA",
    "target_parameters": "adapters on parameters",
  ]

  /// Starts that take something out of the base, so that the file means nothing without what is left.
  private static let startsThatChangeTheBase = ["pissa", "olora", "loftq", "corda", "lora_ga"]

  init(_ settings: Settings) throws(AdapterError) {
    path = settings.path
    guard let type = try settings.text("peft_type") else {
      throw .configuration(path: path, key: "peft_type", wanted: "\"LORA\"")
    }
    guard type == "LORA" else { throw .unsupported(path: path, what: "the method \(type)") }
    for (key, what) in Self.unsupported.sorted(by: { $0.key < $1.key }) where settings.fields[key]?.isIdle == false {
      throw .unsupported(path: path, what: "\(what) ('\(key)')")
    }
    if let bias = try settings.text("bias"), bias != "none" {
      throw .unsupported(path: path, what: "biases ('bias' is '\(bias)')")
    }
    if case .text(let start)? = settings.fields["init_lora_weights"],
      let known = Self.startsThatChangeTheBase.first(where: start.lowercased().hasPrefix)
    {
      throw .unsupported(path: path, what: "the start \(known), which changes the base ('init_lora_weights')")
    }
    // PEFT's own defaults.
    rank = try settings.count("r") ?? 8
    alpha = try settings.number("lora_alpha") ?? 8
    isRankStabilised = try settings.flag("use_rslora")
    base = try settings.text("base_model_name_or_path").flatMap { $0.isEmpty ? nil : $0 }
    ranks = try PEFTPattern("rank_pattern", settings)
    alphas = try PEFTPattern("alpha_pattern", settings)
  }

  /// Alpha of any layer, such that alpha / rank is the scale.
  func effectiveAlpha(_ alpha: Double, rank: Int) throws(AdapterError) -> Float {
    let effective = Float(isRankStabilised ? alpha * Double(rank).squareRoot() : alpha)
    // 0 would mean a scale of 1 to us and to llama.cpp, not the 0 it is.
    guard effective != 0, effective.isFinite else { throw .badAlpha(effective) }
    return effective
  }

  /// - Throws: `configuredRank` when the tensors and the configuration disagree.
  func alpha(of hfPath: String, rank found: Int) throws(AdapterError) -> Float {
    let wanted = try ranks.value(of: hfPath) ?? Double(rank)
    guard wanted == Double(found) else {
      throw .configuredRank(path: path, tensor: hfPath, found: found, wanted: wanted)
    }
    return try effectiveAlpha(try alphas.value(of: hfPath) ?? alpha, rank: found)
  }
}

/// `rank_pattern` or `alpha_pattern`: regular expressions for the end of a layer's name, each with a value. In PEFT the first in
/// the file that matches counts; a JSON object has no order, so two that match and differ are refused.
struct PEFTPattern {
  private let path: String
  private let key: String
  private let entries: [(expression: Regex<AnyRegexOutput>, value: Double)]

  init(_ key: String, _ settings: Settings) throws(AdapterError) {
    (path, self.key) = (settings.path, key)
    guard let object = try settings.object(key) else {
      entries = []
      return
    }
    var entries: [(expression: Regex<AnyRegexOutput>, value: Double)] = []
    for name in object.fields.keys.sorted() {
      guard let value = try object.number(name) else { continue }
      guard Self.isHarmless(name), let expression = try? Regex("(?:.*\\.)?(?:\(name))") else {
        throw .badExpression(path: settings.path, key: key, expression: name)
      }
      entries.append((expression, value))
    }
    self.entries = entries
  }

  func value(of hfPath: String) throws(AdapterError) -> Double? {
    let values = Set(entries.filter { hfPath.wholeMatch(of: $0.expression) != nil }.map(\.value))
    guard values.count <= 1 else { throw .ambiguousPattern(path: path, key: key, tensor: hfPath) }
    return values.first
  }

  /// An expression from a stranger's file must not run for ages: few repetitions, and none of a group.
  private static func isHarmless(_ expression: String) -> Bool {
    let repetitions = expression.filter { "*+{?".contains($0) }.count
    let ofGroup = ["*", "+", "{"].contains { expression.contains(")" + $0) }
    return expression.count <= 256 && repetitions <= 4 && !ofGroup
  }
}
