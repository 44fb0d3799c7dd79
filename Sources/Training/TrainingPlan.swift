import Adapters
import Llama

/// What training needs in memory beside the mapped model, decided before it starts: how many blocks keep their activations.
///
/// Kept or computed again, the bits are the same. The inputs of blocks are always kept. Norms and the product of gate and up are
/// always computed again: a few operations a value. The rest is kept by halves of blocks, which save, in operations of a row
///
///     feed-forward: gate, up                        4·D·F in 8·F bytes                             D/2 a byte
///     attention: q, k, v, its output, the sum       4·D·(D + K·E) + 2·T·D in 4·(3·D + 2·K·E + H)   less, for T < D + H
///
/// so the budget goes to the feed-forwards of as many blocks as it can, then to attentions.
public struct TrainingPlan: Equatable, Sendable {
  public let microBatches: MicroBatches
  /// Rows of the largest pass.
  public let rows: Int
  public let blocks: Int
  public let kept: TrainingPass.Kept
  public let activationBytes: Int
  public let headBytes: Int
  /// Adapter, its layouts for the kernels, gradients and the optimiser's state.
  public let adapterBytes: Int
  /// All of it, beside the model.
  public var bytes: Int { adapterBytes + activationBytes + headBytes }

  /// Which activations stay, in words.
  public var keeping: String {
    switch (kept.feedForward, kept.attention) {
    case (blocks, blocks): "activations of all \(blocks) blocks are kept"
    case (0, 0): "activations of all \(blocks) blocks are computed again"
    case (let feedForward, let attention):
      "activations of \(feedForward) feed-forwards and \(attention) attentions of \(blocks) blocks are kept, the others computed "
        + "again"
    }
  }

  /// - Parameters:
  ///   - groups: what is trained on and evaluated.
  ///   - options: their batch, the rows wished for one pass, the optimiser, and the memory for everything beside the model.
  /// - Throws: `TrainerError.memory` when even keeping nothing does not fit.
  public init(_ policy: Policy, groups: [ScoredGroup], options: TrainerOptions) throws {
    let longest = groups.map(\.rows).max() ?? 0
    func needs(_ rows: Int) -> TrainingPass.Bytes {
      // A pass of `rows` rows holds no more targets and pages than its rows of the greediest pair would.
      func most(_ count: (ScoredGroup) -> Int) -> Int {
        groups.map { (count($0) * rows + $0.rows - 1) / $0.rows }.max() ?? 0
      }
      return TrainingPass.Bytes(
        policy.model, ranks: policy.blockRanks, maximumRows: rows, targets: most(\.targets), pages: most(\.pages),
        drops: options.dropout > 0)
    }
    microBatches = MicroBatches(tokens: options.microBatchTokens, longest: longest)
    rows = min(microBatches.limit, groups.map(\.rows).sorted(by: >).prefix(options.batch).reduce(0, +))
    let count = policy.model.config.blockCount
    blocks = count
    adapterBytes = (policy.adapter?.modules ?? []).reduce(0) {
      $0 + Self.adapterBytes(rank: $1.rank, inputs: $1.a.columns, outputs: $1.b.rows, optimizer: options.optimizer)
    }
    let (all, alone) = (needs(rows), needs(longest))
    let least = adapterBytes + all.base + all.head
    guard least <= options.memory else {
      throw TrainerError.memory(
        needs: least, has: options.memory, longestPair: longest, needsForIt: adapterBytes + alone.base + alone.head)
    }
    var free = options.memory - least
    func spend(_ bytes: Int) -> Int {
      let affordable = bytes == 0 ? count : min(count, free / bytes)
      free -= affordable * bytes
      return affordable
    }
    let feedForward = spend(all.feedForward)
    kept = TrainingPass.Kept(attention: spend(all.attention), feedForward: feedForward)
    activationBytes = all.base + kept.feedForward * all.feedForward + kept.attention * all.attention
    headBytes = all.head
  }

  /// What training one adapted layer holds: A, s·A and its transpose, B and its transpose, and of both the gradient and the
  /// optimiser's state.
  public static func adapterBytes(
    rank: Int, inputs: Int, outputs: Int, optimizer: OptimizerChoice = .adamW()
  ) -> Int {
    let state = Double(rank * (inputs + outputs)) * optimizer.bytesPerParameter
    return rank * (4 * inputs + 3 * outputs) * MemoryLayout<Float>.stride + Int(state.rounded(.up))
  }
}
