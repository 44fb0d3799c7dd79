import Adapters
import Llama
import TestSupport
import Testing
import Training

/// What `inspect` computes from shapes alone is what training plans with.
struct TrainingPlanTests {
  @Test func shapesAloneTellTheMemory() throws {
    let job = try Job(pairs: 2)
    let adapter = LoRAAdapter.fresh(
      architecture: "llama", rank: 3, alpha: 6, seed: 1, shapes: job.model.adaptable)
    let policy = try Policy(job.model, adapter: adapter)
    let plan = try TrainingPlan(policy, groups: job.pairs.map(\.group), options: job.options)

    // A, s·A, its transpose, gradient and two moments; B, its transpose, gradient and two moments; 4 bytes a value.
    let (a, b) = adapter.modules.reduce((0, 0)) { ($0.0 + $1.a.count, $0.1 + $1.b.count) }
    #expect(plan.adapterBytes == 4 * (6 * a + 5 * b))
    #expect(
      plan.adapterBytes
        == job.model.adaptable.reduce(0) {
          $0 + TrainingPlan.adapterBytes(rank: 3, inputs: $1.columns, outputs: $1.rows)
        })
    #expect(policy.blockRanks == 3 * LoRATarget.inBlock.count)
    #expect(try Policy(job.model).blockRanks == 0)
  }
}
