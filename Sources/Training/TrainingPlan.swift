import Adapters
import Llama

/// What training needs in memory beside the mapped model, decided before it starts: how many blocks keep their activations.
public struct TrainingPlan: Equatable, Sendable {
  /// Tokens of the longest pair, the rows of one pass.
  public let rows: Int
  /// Blocks that keep their activations; the others are computed again in the backward, with the same bits.
  public let keptBlocks: Int
  public let blocks: Int
  public let activationBytes: Int
  /// Adapter, its layouts for the kernels, gradients and the optimiser's state.
  public let adapterBytes: Int

  /// - Parameter budget: bytes for all of the above.
  /// - Throws: `TrainerError.memory` when even keeping nothing does not fit.
  public init(
    _ policy: Policy, pairs: [TrainingPair], budget: Int, optimizer: OptimizerChoice = .adamW(), drops: Bool = false
  ) throws {
    rows = pairs.map(\.tokens).max() ?? 0
    blocks = policy.model.config.blockCount
    adapterBytes = (policy.adapter?.modules ?? []).reduce(0) {
      $0 + Self.adapterBytes(rank: $1.rank, inputs: $1.a.columns, outputs: $1.b.rows, optimizer: optimizer)
    }
    let needs = TrainingPass.bytes(policy.model, ranks: policy.blockRanks, maximumRows: rows, drops: drops)
    let least = adapterBytes + needs.base
    guard least <= budget else { throw TrainerError.memory(needs: least, has: budget) }
    keptBlocks = min(blocks, needs.perKeptBlock == 0 ? blocks : (budget - least) / needs.perKeptBlock)
    activationBytes = needs.base + keptBlocks * needs.perKeptBlock
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
