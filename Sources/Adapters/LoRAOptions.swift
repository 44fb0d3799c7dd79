import Tensors

/// What a fresh adapter is like: ranks, and how far its change is scaled.
public struct LoRAOptions: Equatable, Sendable {
  public var rank: Int
  public var alpha: Float
  /// Ranks and alphas of some layers, in place of those above.
  public var rankPattern: LoRAPattern<Int>
  public var alphaPattern: LoRAPattern<Float>
  /// Scale alpha / √rank in place of alpha / rank, so that high ranks learn as fast (rsLoRA, Kalajdzievski 2023,
  /// arXiv 2312.03732).
  public var isRankStabilised: Bool

  public init(
    rank: Int, alpha: Float, rankPattern: LoRAPattern<Int> = .init(), alphaPattern: LoRAPattern<Float> = .init(),
    isRankStabilised: Bool = false
  ) {
    self.rank = rank
    self.alpha = alpha
    self.rankPattern = rankPattern
    self.alphaPattern = alphaPattern
    self.isRankStabilised = isRankStabilised
  }

  /// Alpha of the weight of this name, or of any other; such that alpha / rank is the scale, because no file can say that an
  /// adapter is rank-stabilised.
  func alpha(rank: Int, of tensorName: String? = nil) -> Float {
    let alpha = tensorName.flatMap { alphaPattern.value(of: $0) } ?? alpha
    return isRankStabilised ? alpha * Float(rank).squareRoot() : alpha
  }
}

/// Values for some layers: `attn_q=8,ffn_down=32`. A name is a layer's in GGUF or Hugging Face spelling, a group's, or that of
/// one block's layer, `blk.0.attn_q`. The first entry that names a layer counts, as in PEFT's `rank_pattern`.
public struct LoRAPattern<Value: Equatable & Sendable>: Equatable, Sendable {
  private struct Entry: Equatable {
    let text: String
    /// nil stands for all blocks.
    let block: Int?
    let targets: [LoRATarget]
    let value: Value
  }

  private var entries: [Entry] = []

  /// Names no layer.
  public init() {}

  /// - Parameters:
  ///   - text: entries with commas between them; an empty text names no layer.
  ///   - expects: completes "write …" for an entry that is none.
  ///   - value: of the text behind the equals sign; nil when it cannot be one.
  /// - Throws: `badPattern` or `unknownTarget`.
  public init(_ text: String, expects: String, value: (String) -> Value?) throws(AdapterError) {
    let text = text.filter { $0 != " " }
    for part in text.isEmpty ? [] : text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard sides.count == 2, let value = value(sides[1]) else { throw .badPattern(String(part), expects: expects) }
      if let (block, target) = LoRATarget.parse(tensorName: sides[0] + ".weight") {
        entries.append(Entry(text: String(part), block: block, targets: [target], value: value))
      } else {
        let targets = try LoRATarget.targets(named: sides[0])
        entries.append(Entry(text: String(part), block: nil, targets: targets, value: value))
      }
    }
  }

  func value(of tensorName: String) -> Value? { entry(of: tensorName)?.value }

  private func entry(of tensorName: String) -> Entry? {
    guard let (block, target) = LoRATarget.parse(tensorName: tensorName) else { return nil }
    return entries.first { $0.targets.contains(target) && ($0.block == nil || $0.block == block) }
  }

  /// - Throws: `idlePattern` for an entry that counts for none of the shapes.
  func requireUse(in shapes: [LoRAShape]) throws(AdapterError) {
    let used = shapes.compactMap { entry(of: $0.name) }
    for entry in entries where !used.contains(entry) { throw .idlePattern(entry.text) }
  }
}

extension LoRAPattern<Int> {
  public static func ranks(_ text: String) throws(AdapterError) -> LoRAPattern {
    try LoRAPattern(text, expects: "a layer and its rank from 1 to 4096") { text in
      Int(text).flatMap { (1...4096).contains($0) ? $0 : nil }
    }
  }
}

extension LoRAPattern<Float> {
  public static func alphas(_ text: String) throws(AdapterError) -> LoRAPattern {
    try LoRAPattern(text, expects: "a layer and its alpha from 0 to 1e6") { text in
      Float(text).flatMap { (0...1e6).contains($0) ? $0 : nil }
    }
  }
}
