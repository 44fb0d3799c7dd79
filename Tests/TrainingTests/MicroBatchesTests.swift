import Llama
import TestSupport
import Testing
import Training

/// Pairs that share a pass.
struct MicroBatchesTests {
  @Test(arguments: [
    (10, [4, 4, 4], [0..<2, 2..<3]), (12, [4, 4, 4], [0..<3]), (3, [4, 4, 4], [0..<1, 1..<2, 2..<3]),
    (10, [4, 7, 3, 10, 1], [0..<1, 1..<3, 3..<4, 4..<5]), (10, [], []),
  ])
  func wholePairsInOrderUpToTheLimit(tokens: Int, rows: [Int], want: [Range<Int>]) {
    let packing = MicroBatches(tokens: tokens, longest: rows.max() ?? 0)
    #expect(packing.ranges(rows) == want)
  }

  /// A longer pair makes the pass longer for all: what goes together depends on the data, not on the order.
  @Test func theLongestPairSetsTheLimit() {
    #expect(MicroBatches(tokens: 5, longest: 9).limit == 9)
    #expect(MicroBatches(tokens: 5, longest: 9).ranges([3, 3, 3, 9]) == [0..<3, 3..<4])
  }

  /// Packing rounds gradients, no more: the losses of the first batch have the same bits, those of the next are close.
  @Test func packingOnlyRounds() throws {
    var job = try Job(pairs: 8)
    job.options.batch = 8
    let packed = try job.run().records
    job.options.microBatchTokens = 1
    let alone = try job.run().records
    #expect(packed[0].loss == alone[0].loss && packed[0].chosenLogps == alone[0].chosenLogps)
    // Gradients differ by some 2⁻²⁴ of their terms, of which a parameter sees a few hundred.
    expectClose(packed[0].gradNorm, alone[0].gradNorm, relative: 1e-5)
    #expect(packed[0].gradNorm != alone[0].gradNorm, "the packing should be another")
    #expect(packed.map(\.numTokens) == alone.map(\.numTokens))
  }

  @Test func theMemoryBudgetDoesNotChangeThePacking() throws {
    var job = try Job(pairs: 8)
    (job.options.batch, job.options.microBatchTokens) = (8, 30)
    let policy = try Policy(job.model, adapter: job.start)
    func plan(_ budget: Int) throws -> TrainingPlan {
      job.options.memory = budget
      return try TrainingPlan(policy, groups: job.pairs.map(\.group), options: job.options)
    }
    let rich = try plan(1 << 40)
    let poor = try plan(rich.bytes - 1)
    #expect(poor.kept != rich.kept)
    #expect(poor.microBatches == rich.microBatches && poor.rows == rich.rows && rich.rows == 30)
  }
}
