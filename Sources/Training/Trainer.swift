/// One training run over frozen pairs: batches, gradients, AdamW, metrics, checkpoints.
/// Knows a loss only as `PairLoss`; where pairs come from is the caller's business.

import Adapters
import Foundation
import Llama
import Tensors

public struct TrainerOptions: Sendable {
  /// Pairs of one optimiser step. The gradient is their mean, whatever the last batch of an epoch holds.
  public var batch: Int
  public var epochs: Int
  public var schedule: Schedule
  public var optimizer: AdamW.Options
  /// Gradients longer than this are scaled down; nil never clips.
  public var maximumGradNorm: Double?
  public var seed: UInt64
  /// Steps and minutes between checkpoints; nil: none by that clock.
  public var checkpointSteps: Int?
  public var checkpointMinutes: Double?
  /// Bytes for activations, adapter, gradients and moments.
  public var memory: Int
  /// Multiplies log π − log π_ref in the reward metrics: TRL's β, INPO's η.
  public var rewardScale: Double
  /// The policy starts as π_t: its first log-probs must be the frozen ones, to the bit.
  public var startsAtLast: Bool

  public init(
    batch: Int, epochs: Int, schedule: Schedule, optimizer: AdamW.Options = .init(), maximumGradNorm: Double? = 1,
    seed: UInt64 = 0, checkpointSteps: Int? = nil, checkpointMinutes: Double? = nil, memory: Int, rewardScale: Double,
    startsAtLast: Bool
  ) {
    self.batch = batch
    self.epochs = epochs
    self.schedule = schedule
    self.optimizer = optimizer
    self.maximumGradNorm = maximumGradNorm
    self.seed = seed
    self.checkpointSteps = checkpointSteps
    self.checkpointMinutes = checkpointMinutes
    self.memory = memory
    self.rewardScale = rewardScale
    self.startsAtLast = startsAtLast
  }
}

public final class Trainer {
  public let plan: TrainingPlan
  public let totalSteps: Int
  private let policy: Policy
  private let pairs: [TrainingPair]
  private let loss: any PairLoss
  private let options: TrainerOptions
  private let folder: String
  private let fingerprints: [String: String]
  private let pass: TrainingPass
  private let optimizer: AdamW
  private let parameters: [(name: String, values: Buffer<Float>)]
  private let gradients: [Buffer<Float>]
  /// Batches used so far. The optimiser counts fewer when a step was skipped.
  private var position = 0
  private static let skipsInARow = 5

  /// - Parameters:
  ///   - policy: the base with the adapter to train, which changes in place.
  ///   - folder: gets `metrics.jsonl` and `checkpoint/`; must exist.
  ///   - fingerprints: what the run is made from; a checkpoint of other things is refused.
  /// - Throws: `TrainerError` for no pairs, pairs without what the loss needs, no adapter, or a memory budget that cannot
  ///   work.
  public init(
    _ policy: Policy, pairs: [TrainingPair], loss: any PairLoss, options: TrainerOptions, folder: String,
    fingerprints: [String: String] = [:]
  ) throws {
    guard !pairs.isEmpty else { throw TrainerError.noPairs }
    guard let adapter = policy.adapter, !adapter.modules.isEmpty else { throw TrainerError.noAdapter }
    guard options.batch > 0, options.epochs > 0 else { throw TrainerError.nothingToDo }
    let pairs = try pairs.enumerated().map { try $1.reduced(to: loss.needs, pair: $0) }
    self.policy = policy
    self.pairs = pairs
    self.loss = loss
    self.options = options
    self.folder = folder
    self.fingerprints = fingerprints
    plan = try TrainingPlan(policy, pairs: pairs, budget: options.memory)
    pass = TrainingPass(policy, maximumRows: plan.rows, kept: plan.keptBlocks)
    parameters = adapter.modules.flatMap { [("\($0.name).lora_a", $0.a.buffer), ("\($0.name).lora_b", $0.b.buffer)] }
    gradients = pass.gradients.pairs.flatMap { [$0.a.buffer, $0.b.buffer] }
    optimizer = AdamW(counts: parameters.map(\.values.count), options: options.optimizer)
    totalSteps = options.epochs * ((pairs.count + options.batch - 1) / options.batch)
  }

  private var perEpoch: Int { totalSteps / options.epochs }
  private var metricsPath: String { folder + "/metrics.jsonl" }
  private var checkpointPath: String { folder + "/checkpoint/trainer.ckpt" }

  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - resume: goes on from the newest checkpoint when there is one; the end is the same to the bit.
  ///   - onStep: after every step.
  ///   - isCancelled: asked between pairs; true writes a checkpoint and ends with `CancellationError`.
  /// - Throws: `TrainerError`, `CheckpointError`, `MetricsError`, `FileError`, `LlamaError`, `CancellationError`.
  public func run(
    resume: Bool, onStep: (MetricsRecord) -> Void = { _ in }, isCancelled: () -> Bool = { Task.isCancelled }
  ) throws {
    try FileSystem.createFolder(folder + "/checkpoint")
    // A run that starts afresh and is killed early must not go on from what was there before.
    if !resume { try FileSystem.remove(checkpointPath) }
    let metricsPosition = resume ? try restore() : 0
    let metrics = try MetricsLog(path: metricsPath, position: metricsPosition)
    var tokens = 0
    var skipped = 0
    let firstStep = position
    let start = Date.now
    var saved = Date.now
    let order = DataOrder(count: pairs.count, seed: options.seed)
    tokens = order.tokens(of: pairs, batch: options.batch, steps: firstStep, perEpoch: perEpoch)

    for step in firstStep..<max(firstStep, totalSteps) {
      let batch = order.batches(epoch: step / perEpoch, of: options.batch)[step % perEpoch]
      let startOfStep = Date.now
      guard let sums = try accumulate(batch, isFirst: step == 0, isCancelled: isCancelled) else {
        try save(metrics)
        throw CancellationError()
      }
      let rate = options.schedule.rate(at: step, of: totalSteps)
      let norm = GradientNorm.clip(gradients, to: options.maximumGradNorm)
      let isFinite = norm.isFinite && sums.loss.isFinite
      if isFinite {
        optimizer.update(parameters.map(\.values), gradients: gradients, learningRate: rate)
        policy.refresh()
        skipped = 0
      } else {
        skipped += 1
      }
      position = step + 1
      tokens += sums.tokens
      let elapsed = Date.now.timeIntervalSince(start)
      let perStep = elapsed / Double(step + 1 - firstStep)
      let record = sums.record(
        step: step + 1, epoch: Double(step + 1) / Double(perEpoch), gradNorm: norm, learningRate: rate,
        numTokens: tokens, tokensPerSecond: Double(sums.tokens) / Date.now.timeIntervalSince(startOfStep),
        elapsed: elapsed, remaining: perStep * Double(totalSteps - step - 1), skipped: isFinite ? nil : true)
      try metrics.append(record)
      onStep(record)
      guard skipped < Self.skipsInARow else {
        throw TrainerError.diverged(step: step + 1, skipped: skipped, pairs: Array(batch))
      }
      let isDue =
        options.checkpointSteps.map { (step + 1).isMultiple(of: $0) } ?? false
        || options.checkpointMinutes.map { Date.now.timeIntervalSince(saved) >= $0 * 60 } ?? false
      if isDue || step + 1 == totalSteps {
        try save(metrics)
        saved = .now
      }
    }
  }

  /// Gradients and metrics of one batch; nil when cancelled on the way.
  private func accumulate(_ batch: ArraySlice<Int>, isFirst: Bool, isCancelled: () -> Bool) throws -> BatchSums? {
    pass.gradients.clear()
    var sums = BatchSums(pairs: batch.count, rewardScale: options.rewardScale)
    for index in batch {
      if isCancelled() { return nil }
      let pair = pairs[index]
      let logProbs = try pass.forward(pair.sequences)
      let policy = logProbs.map(\.logProbSum)
      if isFirst && options.startsAtLast { try compare(index, pair, policy) }
      let margins = pair.margins(policy: policy)
      let outcome = loss(margins)
      let slopes = [outcome.dChosen, outcome.dRejected].map { Float($0 / Double(batch.count)) }
      pass.backward(weights: zip(logProbs, slopes).map { tokens, slope in tokens.map { _ in slope } })
      sums.add(pair, margins, outcome)
    }
    return sums
  }

  private func compare(_ index: Int, _ pair: TrainingPair, _ policy: [Double]) throws {
    guard let frozen = pair.last, frozen != policy else { return }
    throw TrainerError.frozenMismatch(pair: index, found: policy, frozen: frozen)
  }

  // MARK: Checkpoints

  private func save(_ metrics: MetricsLog) throws {
    try metrics.synchronize()
    let state = Checkpoint.State(
      step: optimizer.step, epoch: position / perEpoch, cursor: position % perEpoch, seed: options.seed,
      metricsPosition: metrics.position, fingerprints: fingerprints)
    let moments = [("moments.first", optimizer.firstMoments), ("moments.second", optimizer.secondMoments)]
    try Checkpoint(state: state, buffers: parameters + moments).write(to: checkpointPath)
  }

  /// - Returns: where the metrics file goes on; 0 without a checkpoint.
  private func restore() throws -> Int {
    guard FileSystem.exists(checkpointPath) else { return 0 }
    let checkpoint = try Checkpoint.read(checkpointPath)
    for (name, value) in fingerprints.sorted(by: { $0.key < $1.key })
    where checkpoint.state.fingerprints[name] != value {
      throw TrainerError.otherRun(path: checkpointPath, what: name)
    }
    // The seed orders the data, and the checkpoint remembers only a place in that order.
    guard checkpoint.state.seed == options.seed else {
      throw TrainerError.otherRun(path: checkpointPath, what: "seed")
    }
    for (name, values) in parameters { try checkpoint.restore(name, into: values, path: checkpointPath) }
    try checkpoint.restore("moments.first", into: optimizer.firstMoments, path: checkpointPath)
    try checkpoint.restore("moments.second", into: optimizer.secondMoments, path: checkpointPath)
    optimizer.step = checkpoint.state.step
    position = checkpoint.state.epoch * perEpoch + checkpoint.state.cursor
    policy.refresh()
    return checkpoint.state.metricsPosition
  }
}

extension DataOrder {
  /// Tokens in the first `steps` batches: the count a resumed run goes on from.
  fileprivate func tokens(of pairs: [TrainingPair], batch: Int, steps: Int, perEpoch: Int) -> Int {
    (0..<steps).reduce(0) { sum, step in
      sum + batches(epoch: step / perEpoch, of: batch)[step % perEpoch].reduce(0) { $0 + pairs[$1].tokens }
    }
  }
}
