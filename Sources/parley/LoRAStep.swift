/// One optimiser step over preference pairs, as `Trainer` does it, without files, metrics or a data set.

import Adapters
import INPO
import Llama
import Tensors
import Training

struct LoRAStep {
  static let rank = 16

  /// A fresh one on all layers.
  static func adapter(_ model: LlamaModel) -> LoRAAdapter {
    LoRAAdapter.fresh(
      architecture: model.config.architecture.name, rank: rank, alpha: Float(2 * rank), seed: 1,
      shapes: model.blockLayers)
  }

  private let pairs: [ScoredGroup]
  private let plan: TrainingPlan
  private let policy: Policy
  private let pass: TrainingPass
  private let parameters: [Buffer<Float>]
  private let gradients: [Buffer<Float>]
  private let optimizer: AdamW

  /// - Parameter pairs: two answers each. They keep as many activations as the training commands would by default.
  /// - Throws: `TrainerError.memory`.
  init(_ model: LlamaModel, pairs: [ScoredGroup]) throws {
    let adapter = Self.adapter(model)
    self.pairs = pairs
    policy = try Policy(model, adapter: adapter)
    var config = RunConfig()
    config.batch = pairs.count
    plan = try TrainingPlan(
      policy, groups: pairs, options: TrainerOptions(config, memory: INPORun.defaultMemory, startsAtLast: true))
    pass = TrainingPass(policy, maximumRows: plan.rows, kept: plan.kept)
    parameters = adapter.modules.flatMap { [$0.a.buffer, $0.b.buffer] }
    gradients = pass.gradients.pairs.flatMap { [$0.a.buffer, $0.b.buffer] }
    optimizer = AdamW(counts: parameters.map(\.count))
  }

  func run() throws {
    pass.gradients.clear()
    // The slope of a logistic loss in a margin of 0.
    let slope = 0.5 / Float(pairs.count)
    for range in plan.microBatches.ranges(pairs.map(\.rows)) {
      let logProbs = try pass.forward(Array(pairs[range]))
      pass.backward(
        weights: logProbs.map { answers in
          zip(answers, [slope, -slope]).map { values, weight in values.map { _ in weight } }
        })
    }
    _ = GradientNorm.clip(gradients, to: 1)
    optimizer.update(parameters, gradients: gradients, learningRate: 1e-4)
    policy.refresh()
  }
}
