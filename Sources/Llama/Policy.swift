import Adapters
import Tensors

/// The base, or the base with one adapter: what turns a prefix into a distribution. π, π_t and π_ref are policies over one model.
public final class Policy {
  /// One adapted layer, laid out for the kernels: `y += (x · (s·A)ᵀ) · Bᵀ`.
  final class Slot {
    let module: LoRAModule
    let scale: Float
    /// `s·A [R, in]`, its transpose `[in, R]`, and `Bᵀ [R, out]`.
    let scaledA: Matrix
    let scaledAT: Matrix
    let bT: Matrix
    var rank: Int { module.rank }

    init(_ module: LoRAModule, scale: Float) {
      self.module = module
      self.scale = scale
      scaledA = Matrix(module.a.rows, module.a.columns)
      scaledAT = Matrix(module.a.columns, module.a.rows)
      bT = Matrix(module.b.columns, module.b.rows)
      refresh()
    }

    /// Takes the module's A and B as they are now.
    func refresh() {
      for i in 0..<scaledA.count { scaledA.pointer[i] = scale * module.a.pointer[i] }
      transpose(from: scaledA, to: scaledAT)
      transpose(from: module.b, to: bT)
    }
  }

  public let model: LlamaModel
  public let adapter: LoRAAdapter?
  /// `slots[block][layer]`, nil where the layer is not adapted.
  let slots: [[Slot?]]
  /// The head's, nil where it is not adapted.
  let head: Slot?
  /// The embedding's, nil where it is not adapted.
  let embedding: Slot?
  /// The largest rank of the blocks' layers; 0 for the base.
  let maximumRank: Int
  /// The sum of the ranks of the adapted layers in one block, the largest such sum; 0 for the base.
  public var blockRanks: Int { slots.map { $0.reduce(0) { $0 + ($1?.rank ?? 0) } }.max() ?? 0 }

  /// - Parameter scale: multiplies the adapter's own alpha / rank; 0 gives the base's bits.
  /// - Throws: `AdapterError` when the adapter does not fit the model.
  public init(_ model: LlamaModel, adapter: LoRAAdapter? = nil, scale: Float = 1) throws {
    self.model = model
    self.adapter = adapter
    try adapter?.check(model.loraBase)
    let modules = Dictionary(uniqueKeysWithValues: (adapter?.modules ?? []).map { ($0.name, $0) })
    func slot(_ name: String) -> Slot? {
      modules[name].map { Slot($0, scale: scale * (adapter?.scale(of: $0) ?? 1)) }
    }
    slots = (0..<model.config.blockCount).map { block in
      LoRATarget.inBlock.map { slot($0.tensorName(block: block)) }
    }
    head = slot(TensorName.output)
    embedding = slot(TensorName.tokenEmbd)
    maximumRank = slots.joined().reduce(0) { max($0, $1?.rank ?? 0) }
  }

  func slot(_ layer: LoRATarget, _ block: Int) -> Slot? { slots[block][layer.index] }

  /// Call after the adapter's A and B were changed in place: an optimiser step.
  public func refresh() {
    for slot in slots.joined() { slot?.refresh() }
    head?.refresh()
    embedding?.refresh()
  }
}

/// Neighbouring rows of a batch that run under one policy.
struct PolicyRows {
  let policy: Policy
  let rows: Range<Int>
}

extension [PolicyRows] {
  /// Rows in the order of `parts`; parts that follow each other under one policy are one entry.
  init(_ parts: some Sequence<(policy: Policy, rows: Int)>) {
    self = []
    for part in parts {
      let start = last?.rows.upperBound ?? 0
      let rows = start..<(start + part.rows)
      if let previous = last, previous.policy === part.policy {
        self[count - 1] = PolicyRows(policy: part.policy, rows: previous.rows.lowerBound..<rows.upperBound)
      } else {
        append(PolicyRows(policy: part.policy, rows: rows))
      }
    }
  }
}
