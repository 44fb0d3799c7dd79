/// One training run over frozen pairs: batches, gradients, optimiser steps, metrics, checkpoints.
/// Knows a loss only as `PairLoss`; where pairs come from is the caller's business.

import Adapters
import Foundation
import Llama
import Tensors

public struct TrainerOptions: Sendable {
  /// Pairs of one optimiser step. The gradient is their mean, whatever the last batch of an epoch holds.
  public var batch: Int
  /// Rows of one pass, a pair's prompt counted once: as many whole pairs as fit go through together. Decides rounding.
  public var microBatchTokens: Int
  public var epochs: Int
  public var schedule: Schedule
  public var optimizer: OptimizerChoice
  /// The learning rate of B over that of A: above 1 is LoRA+ (Hayou et al. 2024, arXiv 2402.12354).
  public var loraPlusRatio: Double
  /// Share of the adapter's inputs that each step leaves out, from 0 to below 1.
  public var dropout: Double
  /// Gradients longer than this are scaled down; nil never clips.
  public var maximumGradNorm: Double?
  public var seed: UInt64
  /// Steps and minutes between checkpoints; nil: none by that clock.
  public var checkpointSteps: Int?
  public var checkpointMinutes: Double?
  /// How many checkpoints stay.
  public var checkpointKeep = 2
  /// So many steps in a row whose loss or gradient is not finite end the run.
  public var maximumSkips = 5
  /// A folder for TensorBoard's event files; nil writes none.
  public var tensorBoard: String?
  /// Bytes for activations, adapter, gradients and moments.
  public var memory: Int
  /// How gradients pass frozen weights.
  public var backward = BackwardPrecision.int16
  /// Multiplies log π − log π_ref in the reward metrics: TRL's β, INPO's η.
  public var rewardScale: Double
  /// The policy starts as π_t: its first log-probs must be the frozen ones, to the bit.
  public var startsAtLast: Bool

  /// Optimiser steps over so many pairs.
  public func steps(pairs: Int) -> Int { epochs * ((pairs + batch - 1) / batch) }

  public init(
    batch: Int, microBatchTokens: Int = MicroBatches.defaultTokens, epochs: Int, schedule: Schedule,
    optimizer: OptimizerChoice = .adamW(), loraPlusRatio: Double = 1, dropout: Double = 0,
    maximumGradNorm: Double? = 1, seed: UInt64 = 0, checkpointSteps: Int? = nil, checkpointMinutes: Double? = nil,
    memory: Int, rewardScale: Double,
    startsAtLast: Bool
  ) {
    self.batch = batch
    self.microBatchTokens = microBatchTokens
    self.epochs = epochs
    self.schedule = schedule
    self.optimizer = optimizer
    self.loraPlusRatio = loraPlusRatio
    self.dropout = dropout
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
  private let pass: TrainingPass
  private let optimizer: any Optimizer
  private let parameters: [(name: String, values: Buffer<Float>)]
  private let gradients: [Buffer<Float>]
  private let heldOut: HeldOut?
  private let checkpoints: CheckpointFolder
  /// All that a checkpoint remembers besides floats, and what the newest one remembers.
  private var state: Checkpoint.State
  private var saved: Checkpoint.State?
  private var savedAt = Date.now
  /// Up to when `state.seconds` counts.
  private var countedTo = Date.now

  /// - Parameters:
  ///   - policy: the base with the adapter to train, which changes in place.
  ///   - heldOut: pairs to evaluate on, frozen like `pairs`.
  ///   - folder: gets `metrics.jsonl` and `checkpoint/`, with held-out pairs `best.gguf`, after skipped steps
  ///     `skipped.jsonl`; must exist.
  ///   - fingerprints: what the run is made from; a checkpoint of other things is refused.
  /// - Throws: `TrainerError` for no pairs, pairs without what the loss needs, a measure that it does not have, no adapter, or a memory budget that cannot
  ///   work.
  public init(
    _ policy: Policy, pairs: [TrainingPair], loss: any PairLoss, options: TrainerOptions, heldOut: HeldOut? = nil,
    folder: String, fingerprints: [String: String] = [:]
  ) throws {
    guard !pairs.isEmpty else { throw TrainerError.noPairs }
    guard let adapter = policy.adapter, !adapter.modules.isEmpty else { throw TrainerError.noAdapter }
    guard options.batch > 0, options.microBatchTokens > 0, options.epochs > 0 else { throw TrainerError.nothingToDo }
    let pairs = try pairs.enumerated().map { try $1.reduced(to: loss.needs, pair: $0) }
    self.policy = policy
    self.pairs = pairs
    self.loss = loss
    self.options = options
    self.folder = folder
    self.heldOut = try heldOut.map { heldOut in
      try HeldOut.check(heldOut.bestBy, for: loss)
      var heldOut = heldOut
      heldOut.pairs = try heldOut.pairs.enumerated().map { try $1.reduced(to: loss.needs, pair: $0) }
      return heldOut
    }
    checkpoints = CheckpointFolder(folder + "/checkpoint", keep: options.checkpointKeep)
    state = Checkpoint.State(seed: options.seed, fingerprints: fingerprints)
    plan = try TrainingPlan(policy, groups: (pairs + (self.heldOut?.pairs ?? [])).map(\.group), options: options)
    pass = TrainingPass(policy, maximumRows: plan.rows, kept: plan.kept, backward: options.backward)
    parameters = adapter.modules.flatMap { [("\($0.name).lora_a", $0.a.buffer), ("\($0.name).lora_b", $0.b.buffer)] }
    gradients = pass.gradients.pairs.flatMap { [$0.a.buffer, $0.b.buffer] }
    optimizer = options.optimizer.make(
      counts: parameters.map(\.values.count), rateScales: adapter.modules.flatMap { _ in [1, options.loraPlusRatio] })
    totalSteps = options.steps(pairs: pairs.count)
  }

  private var perEpoch: Int { totalSteps / options.epochs }
  /// Batches used so far. The optimiser counts fewer when a step was skipped.
  private var position: Int {
    get { state.epoch * perEpoch + state.cursor }
    set { (state.epoch, state.cursor) = newValue.quotientAndRemainder(dividingBy: perEpoch) }
  }
  private var epochs: Double { Double(position) / Double(perEpoch) }
  /// The adapter with the best evaluation so far.
  public var bestPath: String { folder + "/best.gguf" }
  /// Where the evaluations on held-out pairs stand.
  public var standing: HeldOut.Standing { state.heldOut }
  /// Whether the held-out pairs end the run before all its steps are done.
  public var endsEarly: Bool { position < totalSteps && heldOut?.isOver(state.heldOut) == true }

  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - resume: goes on from the newest checkpoint that is whole, when there is one; the end is the same to the bit.
  ///   - onStep: after every step.
  ///   - onEvaluation: after every evaluation on the held-out pairs, with whether it is the best so far.
  ///   - onNote: gets a sentence about a damaged checkpoint that was passed over.
  ///   - isCancelled: asked between passes; true writes a checkpoint and ends with `CancellationError`.
  /// - Throws: `TrainerError`, `CheckpointError`, `MetricsError`, `FileError`, `LlamaError`, `CancellationError`.
  public func run(
    resume: Bool, onStep: (MetricsRecord) -> Void = { _ in },
    onEvaluation: (EvaluationRecord, _ isBest: Bool) -> Void = { _, _ in }, onNote: (String) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws {
    try FileSystem.createFolder(checkpoints.path)
    if resume { try restore(onNote) } else { try forget() }
    let log = try RunLog(folder: folder, tensorBoard: options.tensorBoard, state: state, nextStep: position + 1)
    (savedAt, countedTo) = (.now, .now)
    do {
      while true {
        // Here, and not at the end of a step: a run that was stopped while it evaluated evaluates again.
        if let heldOut, heldOut.isDue(after: position, of: totalSteps, state.heldOut) {
          guard let record = try evaluate(heldOut.pairs, isCancelled) else { try stop(log) }
          try log.append(record)
          let isBest = heldOut.judge(record, &state.heldOut)
          if isBest { try writeBest() }
          onEvaluation(record, isBest)
        }
        guard position < totalSteps, !endsEarly else { break }
        guard let (record, batch) = try step(log, isCancelled) else { try stop(log) }
        onStep(record)
        guard state.skippedInARow < options.maximumSkips else {
          throw TrainerError.diverged(step: position, skipped: state.skippedInARow, pairs: Array(batch))
        }
        if isCheckpointDue { try save(log) }
      }
      if state != saved { try save(log) }
    } catch let error as FileError {
      throw notWritten(error)
    }
  }

  /// One step; nil when cancelled on the way.
  private func step(_ log: RunLog, _ isCancelled: () -> Bool) throws -> (MetricsRecord, ArraySlice<Int>)? {
    let order = DataOrder(count: pairs.count, seed: options.seed)
    let batch = order.batches(epoch: state.epoch, of: options.batch)[state.cursor]
    let start = Date.now
    guard let sums = try accumulate(batch, isFirst: position == 0, isCancelled: isCancelled) else { return nil }
    let rate = options.schedule.rate(at: position, of: totalSteps)
    let norm = GradientNorm.clip(gradients, to: options.maximumGradNorm)
    let isFinite = norm.isFinite && sums.loss.isFinite
    if isFinite {
      optimizer.update(parameters.map(\.values), gradients: gradients, learningRate: rate)
      policy.refresh()
    }
    state.skippedInARow = isFinite ? 0 : state.skippedInARow + 1
    position += 1
    state.tokens += sums.tokens
    count(to: .now)
    if !isFinite {
      let ids = batch.map { pairs[$0].id }
      try log.append(
        SkippedStep(
          step: position, pairs: Array(batch), ids: ids.allSatisfy { $0 == nil } ? nil : ids, loss: sums.loss,
          gradNorm: norm))
    }
    let record = sums.record(
      step: position, epoch: epochs, gradNorm: norm, learningRate: rate, numTokens: state.tokens,
      tokensPerSecond: Double(sums.tokens) / countedTo.timeIntervalSince(start), elapsed: state.seconds,
      remaining: state.seconds / Double(position) * Double(totalSteps - position), skipped: isFinite ? nil : true)
    try log.append(record)
    return (record, batch)
  }

  /// The held-out pairs under the policy as it is now; nil when cancelled on the way.
  private func evaluate(_ pairs: [TrainingPair], _ isCancelled: () -> Bool) throws -> EvaluationRecord? {
    var sums = BatchSums(pairs: pairs.count, rewardScale: options.rewardScale)
    for pair in pairs {
      if isCancelled() { return nil }
      let margins = pair.margins(policy: try pass.forward([pair.group])[0].map(\.logProbSum))
      sums.add(pair, margins, loss(margins))
    }
    return sums.evaluation(step: position, epoch: epochs)
  }

  private func count(to now: Date) {
    state.seconds += now.timeIntervalSince(countedTo)
    countedTo = now
  }

  /// Gradients and metrics of one batch; nil when cancelled on the way.
  private func accumulate(_ batch: ArraySlice<Int>, isFirst: Bool, isCancelled: () -> Bool) throws -> BatchSums? {
    pass.gradients.clear()
    var sums = BatchSums(pairs: batch.count, rewardScale: options.rewardScale)
    let indices = Array(batch)
    for part in plan.microBatches.ranges(indices.map { pairs[$0].group.rows }) {
      if isCancelled() { return nil }
      let groups = indices[part].map { pairs[$0].group }
      // Frozen log-probs are those of the whole policy, of which a forward with dropout is only a part.
      let isCompared = isFirst && options.startsAtLast
      if isCompared && dropout != nil { try compare(indices[part], pass.forward(groups)) }
      let logProbs = try pass.forward(groups, dropout: dropout)
      if isCompared && dropout == nil { try compare(indices[part], logProbs) }
      var weights: [[[Float]]] = []
      for (index, answers) in zip(indices[part], logProbs) {
        let pair = pairs[index]
        let margins = pair.margins(policy: answers.map(\.logProbSum))
        let outcome = loss(margins)
        let slopes = [outcome.dChosen, outcome.dRejected].map { Float($0 / Double(batch.count)) }
        weights.append(zip(answers, slopes).map { answer, slope in answer.map { _ in slope } })
        sums.add(pair, margins, outcome)
      }
      pass.backward(weights: weights)
    }
    return sums
  }

  /// Of the running step.
  private var dropout: Dropout? {
    options.dropout > 0 ? Dropout(rate: options.dropout, seed: options.seed, step: position) : nil
  }

  private func compare(_ indices: ArraySlice<Int>, _ logProbs: [[[Float]]]) throws {
    for (index, answers) in zip(indices, logProbs) {
      let policy = answers.map(\.logProbSum)
      guard let frozen = pairs[index].last, frozen != policy else { continue }
      throw TrainerError.frozenMismatch(pair: index, found: policy, frozen: frozen)
    }
  }

  // MARK: Checkpoints

  private var isCheckpointDue: Bool {
    position < totalSteps
      && (options.checkpointSteps.map { position.isMultiple(of: $0) } ?? false
        || options.checkpointMinutes.map { Date.now.timeIntervalSince(savedAt) >= $0 * 60 } ?? false)
  }

  private func save(_ log: RunLog) throws {
    try log.synchronize(&state)
    state.step = optimizer.step
    try checkpoints.write(Checkpoint(state: state, buffers: parameters + optimizer.state), step: position)
    (saved, savedAt) = (state, .now)
  }

  private func stop(_ log: RunLog) throws -> Never {
    try save(log)
    throw CancellationError()
  }

  /// Takes up the newest checkpoint that is whole; without any the run begins.
  private func restore(_ onNote: (String) -> Void) throws {
    guard let (path, checkpoint) = try checkpoints.newest(onDamaged: onNote) else { return try forget() }
    let (old, new) = (checkpoint.state.fingerprints, state.fingerprints)
    for name in Set(old.keys).union(new.keys).sorted() where old[name] != new[name] {
      throw TrainerError.otherRun(path: path, what: name)
    }
    // The seed orders the data, and the checkpoint remembers only a place in that order.
    guard checkpoint.state.seed == options.seed else { throw TrainerError.otherRun(path: path, what: "seed") }
    for (name, values) in parameters + optimizer.state { try checkpoint.restore(name, into: values, path: path) }
    optimizer.step = checkpoint.state.step
    (state, saved) = (checkpoint.state, checkpoint.state)
    policy.refresh()
  }

  /// A run that starts afresh and is killed early must not go on from what was there before.
  private func forget() throws {
    try checkpoints.clear()
    try FileSystem.remove(bestPath)
  }

  private func writeBest() throws {
    do {
      try policy.adapter?.write(gguf: bestPath)
    } catch  where !(error is AdapterError) {
      throw notWritten(error)
    }
  }

  private func notWritten(_ error: any Error) -> TrainerError {
    let newest = try? checkpoints.steps().first
    return .notWritten(reason: "\(error)", step: position, checkpoint: newest.map { checkpoints.file(step: $0) })
  }
}
