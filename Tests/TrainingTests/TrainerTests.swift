/// A training run against the float64 twin, and its rules: what it starts from, what it refuses, what it reports.

import Adapters
import Foundation
import GGUF
import INPO
import Llama
import ReferenceModel
import Scoring
import Tensors
import TestSupport
import Testing
import Training

@Suite struct TrainerTests {
  // MARK: Options of the adapter

  /// AdamW's first step is the rate against the gradient's sign: B goes 4 times as far, A exactly as far.
  @Test func loraPlusMovesBFaster() throws {
    var job = try Job(pairs: 2)
    (job.options.epochs, job.options.schedule) = (1, Schedule(.constant, peak: 1e-3))
    let plain = try job.run().adapter
    job.options.loraPlusRatio = 4
    let plus = try job.run().adapter
    for (start, (plain, plus)) in zip(job.start.modules, zip(plain.modules, plus.modules)) {
      #expect(plain.a.values == plus.a.values)
      let (once, fourTimes) = (zip(plain.b.values, start.b.values).map(-), zip(plus.b.values, start.b.values).map(-))
      // Each difference is of values below 1, rounded by at most 2⁻²⁵.
      expectClose(fourTimes, once.map { 4 * $0 }, absolute: 6 * 0x1p-25)
      #expect(once.allSatisfy { abs($0) > 0.9e-3 })
    }
  }

  /// The policy still has to start at its frozen log-probs, although no step of the run computes with all of it.
  @Test func dropoutChangesTheStepsAndNotTheStart() throws {
    var job = try Job(pairs: 4)
    let whole = try job.run()
    job.options.dropout = 0.3
    let dropped = try job.run()
    #expect(dropped.bits != whole.bits)
    #expect(dropped.records[0].chosenLogps != whole.records[0].chosenLogps)
    #expect(try job.run().bits == dropped.bits)
    let logProb = job.pairs[1].lastChosen
    job.pairs[1] = TrainingPair(
      job.pairs[1].group, referenceChosen: 0, referenceRejected: 0,
      lastChosen: logProb.nextUp, lastRejected: job.pairs[1].lastRejected)
    job.options.batch = 4
    #expect(throws: TrainerError.self) { try job.run() }
  }

  // MARK: Steps

  /// Two steps of one batch of 8, with weight decay, clipped and not.
  ///
  /// Adam divides the gradient by its own size, so that a wrong factor would hardly show; with an epsilon as large as the
  /// gradients it does. Then a parameter's step is lr · m̂ / (√v̂ + eps), whose slope in the gradient is at most about
  /// lr/eps. A gradient is within 1e-4 of its tensor's length (`TwinGradientTests`); the second step sees two of them.
  @Test(arguments: [nil, 3.0]) func aBatchIsTheTwinsStepOnTheMeanGradient(limit: Double?) throws {
    var job = try Job(pairs: 8, precision: .f32, format: .f32)
    let (rate, epsilon) = (0.02, 1.0)
    job.options.batch = 8
    job.options.backward = .f32
    job.options.schedule = Schedule(.constant, peak: rate)
    job.options.optimizer = .adamW(.init(epsilon: epsilon, weightDecay: 0.1))
    job.options.maximumGradNorm = limit
    let result = try job.run()

    let model = try job.twin()
    var adapter = job.start.twin
    var optimizer = TwinAdamW(count: adapter.parameters.count, eps: epsilon, weightDecay: 0.1)
    var longest = 0.0
    for record in result.records {
      let (loss, gradient) = model.lossGradients(
        job.pairs.map(\.twin), TwinINPO(eta: Job.eta, ratio: 1.0 / 3), adapter)
      var slope = gradient.parameters
      let norm = slope.reduce(0) { $0 + $1 * $1 }.squareRoot()
      longest = max(longest, norm)
      // A log-prob is off by some 1e-5 (`TwinLogProbTests`), a residual, of about 5 nats, by twice that; it is squared.
      expectClose(record.loss, loss, relative: 1e-5)
      expectClose(record.gradNorm, norm, relative: 1e-4)
      if let limit, norm > limit { slope = slope.map { $0 * limit / norm } }
      optimizer.update(&adapter.parameters, gradient: slope, learningRate: rate)
    }
    #expect(result.records.count == 2)
    let (got, want) = (result.adapter.twin.parameters, adapter.parameters)
    let bound = 2 * rate / epsilon * 1e-4 * min(longest, limit ?? .infinity)
    expectClose(got, want, absolute: bound, relative: 0x1p-22)
    let moved = zip(want, job.start.twin.parameters).map { abs($0 - $1) }.max() ?? 0
    #expect(moved > 50 * bound, "the steps should be far longer than the tolerance")
  }

  @Test func fourPairsReachTheTarget() throws {
    var job = try Job(pairs: 4)
    job.options.batch = 4
    job.options.epochs = 150
    job.options.schedule = Schedule(.cosine, peak: 0.01)
    let result = try job.run()
    let target = 1 / (2 * Job.eta)
    let scorer = Scorer(try Policy(job.model, adapter: result.adapter))
    for pair in job.pairs {
      let request = ScoreRequest(
        prompt: pair.group.prompt, responses: pair.group.answers)
      let sums = try scorer.logProbs([request])[0].map(\.logProbSum)
      let h =
        sums[0] - sums[1] - (pair.referenceChosen - pair.referenceRejected) / 3
        - (pair.lastChosen - pair.lastRejected) * 2 / 3
      expectClose(h, target, absolute: 0.02 * target)
    }
    #expect(try #require(result.records.last).loss < 1e-3 * result.records[0].loss)
    #expect(result.records.last?.target == target)
  }

  @Test func threadsAndRecomputingChangeNoBit() throws {
    var job = try Job(pairs: 4, threads: 1, isLarge: true)
    let one = try job.run()
    #expect(try Job(pairs: 4, threads: 2, isLarge: true).run().bits == one.bits)

    let (trainer, _) = try job.trainer(in: temporaryFolder())
    #expect(trainer.plan.kept == .all(of: job.model))
    let (most, least) = (trainer.plan.bytes, try leastMemory(job))
    for (memory, kept) in [
      (least, TrainingPass.Kept.nothing), (least + 3 * (most - least) / 8, .init(attention: 0, feedForward: 1)),
      (most - 1, .init(attention: 1, feedForward: 2)),
    ] {
      job.options.memory = memory
      #expect(try job.trainer(in: temporaryFolder()).0.plan.kept == kept)
      #expect(try job.run().bits == one.bits, "\(kept)")
    }
    #expect(one.bits != job.start.bits)
  }

  // MARK: Metrics

  @Test(arguments: Schedule.Shape.allCases) func schedulesReachTheMetrics(shape: Schedule.Shape) throws {
    var job = try Job(pairs: 5)
    job.options.schedule = Schedule(shape, peak: 0.004, warmUp: .ratio(0.3))
    let records = try job.run().records
    #expect(records.map(\.learningRate) == (0..<6).map { job.options.schedule.rate(at: $0, of: 6) })
    #expect(records.map(\.step) == [1, 2, 3, 4, 5, 6])
    #expect(records.map(\.epoch) == [1, 2, 3, 4, 5, 6].map { $0 / 3 })
    let epoch = job.pairs.reduce(0) { $0 + $1.tokens }
    #expect(records[2].numTokens == epoch && records[5].numTokens == 2 * epoch)
  }

  /// The first step's metrics follow from the frozen columns, since the policy is still π_t.
  @Test func theFirstRecordFollowsFromThePairs() throws {
    var job = try Job(pairs: 3)
    job.options.batch = 3
    job.options.epochs = 1
    let record = try #require(job.run().records.first)
    func mean(_ value: (TrainingPair) -> Double) -> Double { job.pairs.reduce(0) { $0 + value($1) } / 3 }
    func h(_ p: TrainingPair) -> Double {
      (p.lastChosen - p.lastRejected - p.referenceChosen + p.referenceRejected) / 3
    }
    let close = 1e-12  // the same sums in float64, in another order
    expectClose(record.loss, mean { (h($0) - 5) * (h($0) - 5) }, relative: close)
    expectClose(record.h!, mean(h), absolute: close)
    expectClose(record.chosenLogps, mean(\.lastChosen), relative: close)
    expectClose(record.rejectedLogps!, mean(\.lastRejected), relative: close)
    expectClose(record.chosenRewards!, mean { Job.eta * ($0.lastChosen - $0.referenceChosen) }, absolute: close)
    expectClose(record.rejectedRewards!, mean { Job.eta * ($0.lastRejected - $0.referenceRejected) }, absolute: close)
    expectClose(record.rewardMargins!, record.chosenRewards! - record.rejectedRewards!, absolute: close)
    expectClose(
      record.rewardAccuracies!,
      mean { $0.lastChosen - $0.referenceChosen > $0.lastRejected - $0.referenceRejected ? 1 : 0 }, absolute: close)
    #expect(record.target == 5)
    #expect(record.skipped == nil)
  }

  /// Both slopes reach their own answer, and a loss on one answer runs no other: the gradient is the twin's.
  @Test func slopesOfTheTwoAnswersMayDiffer() throws {
    struct Uneven: PairLoss {
      let needs: PairNeeds
      func callAsFunction(_ m: PairMargins) -> PairOutcome { PairOutcome(loss: 1, dChosen: 0.75, dRejected: 2) }
    }
    var job = try Job(pairs: 1, precision: .f32, format: .f32)
    (job.options.batch, job.options.epochs, job.options.backward) = (1, 1, .f32)
    let (model, adapter, pair) = (try job.twin(), job.start.twin, job.pairs[0])
    func gradient(_ answer: Int, _ slope: Double) -> [Double] {
      let tape = model.forward((pair.group.prompt + pair.group.answers[answer]).map(Int.init), adapter)
      let weights = tape.logProbs.indices.map { $0 < pair.group.prompt.count - 1 ? 0 : slope }
      return model.backward(weights, at: tape, adapter).gradient.parameters
    }
    let (up, down) = (gradient(0, 0.75), gradient(1, 2))
    let cases: [(PairNeeds, [Double])] = [(.rejected, zip(up, down).map { $0 + $1 }), ([], up)]
    for (needs, want) in cases {
      job.loss = Uneven(needs: needs)
      let record = try #require(job.run().records.first)
      // A gradient is within 1e-4 of its length (`TwinGradientTests`).
      expectClose(record.gradNorm, want.reduce(0) { $0 + $1 * $1 }.squareRoot(), relative: 1e-4)
      #expect(record.numTokens == (needs == [] ? pair.chosenAlone.tokens : pair.tokens))
    }
  }

  /// SFT imitates: its loss falls, and what it does not look at is not in the record.
  @Test func sftLearnsTheChosenAnswers() throws {
    var job = try Job(pairs: 2)
    job.loss = SFTLoss()
    job.options.epochs = 40
    job.pairs = job.pairs.map { $0.chosenAlone }
    let records = try job.run().records
    let (first, last) = (try #require(records.first), try #require(records.last))
    #expect(last.loss < 0.5 * first.loss && last.chosenLogps > first.chosenLogps)
    #expect(first.rejectedLogps == nil && first.chosenRewards == nil && first.rewardMargins == nil && first.h == nil)
    #expect(!String(decoding: try first.line(), as: UTF8.self).contains("rewards/"))
  }

  @Test func pairsMustHaveWhatTheLossNeeds() throws {
    var job = try Job(pairs: 2)
    let whole = job.pairs[1]
    job.pairs[1] = TrainingPair(whole.group)
    #expect(throws: TrainerError.lacking(.frozen, pair: 1)) { try job.trainer(in: temporaryFolder()) }
    job.loss = try SimPOLoss(beta: 2, gamma: 1)
    job.options.epochs = 1
    let record = try #require(job.run().records.first)
    #expect(record.chosenRewards == nil && record.rejectedLogps != nil && record.target == 0.5)
    job.pairs[1] = whole.chosenAlone
    #expect(throws: TrainerError.lacking(.rejected, pair: 1)) { try job.trainer(in: temporaryFolder()) }
  }

  // MARK: Refusals

  /// The job's own pairs pass (every other test); one unit in the last place does not.
  @Test func frozenLogProbsMustBeThePolicysOwn() throws {
    var job = try Job(pairs: 2)
    let right = job.pairs[1]
    job.pairs[1] = right.with(lastChosen: right.lastChosen.nextUp)
    let wanted = TrainerError.frozenMismatch(
      pair: 1, found: [right.lastChosen, right.lastRejected],
      frozen: [right.lastChosen.nextUp, right.lastRejected])
    let (trainer, adapter) = try job.trainer(in: temporaryFolder())
    #expect(throws: wanted) { try trainer.run(resume: false) }
    #expect(adapter.bits == job.start.bits)
    job.options.startsAtLast = false
    #expect(try job.run().records.count == 2)
  }

  /// NaN for one pair, which the loss knows by its probability.
  private struct Spoiled: PairLoss {
    let inner: INPOLoss
    func callAsFunction(_ margins: PairMargins) -> PairOutcome {
      var outcome = inner(margins)
      if margins.probability == 0.25 { (outcome.loss, outcome.dChosen, outcome.dRejected) = (.nan, .nan, .nan) }
      return outcome
    }
  }

  private func spoil(_ job: inout Job, _ indices: Range<Int>) throws {
    for i in indices {
      job.pairs[i] = job.pairs[i].with(probability: 0.25)
    }
    job.loss = Spoiled(inner: try INPOLoss(eta: Job.eta, ratio: 1.0 / 3))
  }

  @Test func aStepThatIsNotFiniteIsLeftOut() throws {
    var job = try Job(pairs: 4)
    try spoil(&job, 0..<1)
    job.options.batch = 1
    job.options.epochs = 1
    let folder = try temporaryFolder()
    let (trainer, adapter) = try job.trainer(in: folder)
    var before = adapter.bits
    var skipped: [Bool] = []
    try trainer.run(resume: false) { record in
      skipped.append(record.skipped == true)
      #expect((adapter.bits == before) == (record.skipped == true), "step \(record.step)")
      before = adapter.bits
    }
    let order = DataOrder(count: 4, seed: job.options.seed).indices(epoch: 0)
    #expect(skipped == order.map { $0 == 0 })
    // The place in the data moved on, the optimiser's count (its bias correction) did not.
    let state = try Checkpoint.read(folder + "/checkpoint/step-000004.ckpt").state
    #expect(state.step == 3 && state.epoch == 1 && state.cursor == 0)
    let place = try #require(order.firstIndex(of: 0))
    let lines = try AtomicFile.read(folder + "/skipped.jsonl").split(separator: UInt8(ascii: "\n"))
    let step = try SkippedStep(line: Data(try #require(lines.first)))
    #expect(lines.count == 1 && step.step == place + 1 && step.pairs == [0] && step.ids == nil)
    #expect(step.loss.isNaN && step.gradNorm.isNaN)
  }

  @Test func skippedPairsAreNamedByTheirIDs() throws {
    var job = try Job(pairs: 4)
    try spoil(&job, 0..<1)
    (job.options.batch, job.options.epochs) = (4, 1)
    (job.pairs[0].id, job.pairs[2].id) = ("first", "third")
    let folder = try temporaryFolder()
    _ = try job.run(in: folder)
    let step = try SkippedStep(line: Data(AtomicFile.read(folder + "/skipped.jsonl").dropLast()))
    #expect(step.ids == step.pairs.map { [0: "first", 2: "third"][$0] })
  }

  @Test func fiveInARowStopTheRun() throws {
    var job = try Job(pairs: 8)
    try spoil(&job, 0..<8)
    job.options.batch = 1
    let fifth = DataOrder(count: 8, seed: job.options.seed).indices(epoch: 0)[4]
    let (trainer, adapter) = try job.trainer(in: temporaryFolder())
    #expect(throws: TrainerError.diverged(step: 5, skipped: 5, pairs: [fifth])) { try trainer.run(resume: false) }
    #expect(adapter.bits == job.start.bits)
  }

  /// What the plan says it needs without keeping any block.
  private func leastMemory(_ job: Job) throws -> Int {
    var poor = job
    poor.options.memory = 0
    do {
      _ = try poor.trainer(in: temporaryFolder())
    } catch TrainerError.memory(let needs, _, _, _) {
      return needs
    }
    return 0
  }

  @Test func aBudgetThatCannotWorkIsRefused() throws {
    var job = try Job(pairs: 2)
    let least = try leastMemory(job)
    #expect(least > 0)
    job.options.memory = least - 1
    job.options.microBatchTokens = 1000
    let longest = job.pairs.map(\.group.rows).max() ?? 0
    var alone = job
    alone.options.microBatchTokens = 1
    let error = TrainerError.memory(
      needs: least, has: least - 1, longestPair: longest, needsForIt: try leastMemory(alone))
    #expect(throws: error) { try job.trainer(in: temporaryFolder()) }
    #expect("\(error)".contains("--micro-batch-tokens (\(longest) needs "))
    job.options.memory = least
    let plan = try job.trainer(in: temporaryFolder()).0.plan
    #expect(plan.kept == .nothing && plan.bytes == least)
    // What would lower it does.
    job.options.memory = try leastMemory(alone)
    #expect(throws: TrainerError.self) { try job.trainer(in: temporaryFolder()) }
    job.options.microBatchTokens = longest
    _ = try job.trainer(in: temporaryFolder())
  }

  @Test func nothingToTrain() throws {
    var job = try Job(pairs: 1)
    let folder = try temporaryFolder()
    #expect(throws: TrainerError.noAdapter) {
      try Trainer(Policy(job.model), pairs: job.pairs, loss: job.loss, options: job.options, folder: folder)
    }
    job.options.batch = 0
    #expect(throws: TrainerError.nothingToDo) { try job.trainer(in: folder) }
    job.pairs = []
    #expect(throws: TrainerError.noPairs) { try job.trainer(in: folder) }
  }
}

extension TrainingPair {
  fileprivate var twin: TwinPair {
    TwinPair(
      prompt: group.prompt.map(Int.init), chosen: group.answers[0].map(Int.init),
      rejected: group.answers[1].map(Int.init), reference: referenceChosen - referenceRejected,
      previous: lastChosen - lastRejected)
  }

  fileprivate var chosenAlone: TrainingPair {
    TrainingPair(ScoredGroup(prompt: group.prompt, answers: [group.answers[0]]))
  }

  fileprivate func with(lastChosen: Double? = nil, probability: Double? = nil) -> TrainingPair {
    TrainingPair(
      group, referenceChosen: referenceChosen, referenceRejected: referenceRejected,
      lastChosen: lastChosen ?? self.lastChosen, lastRejected: lastRejected,
      probability: probability ?? self.probability)
  }
}

extension Job {
  fileprivate func twin() throws -> TwinModel {
    let c = model.config
    var floats: [String: (rows: Int, columns: Int, values: [Float])] = [:]
    for tensor in file.tensors {
      let view = try file.weight(tensor.name)
      floats[tensor.name] = (view.rows, view.columns, try file.floats(tensor.name).values)
    }
    let config = TwinConfig(
      dim: c.dim, blockCount: c.blockCount, headCount: c.headCount, kvHeadCount: c.kvHeadCount, ffnDim: c.feedForward,
      vocabularySize: model.vocabularySize, eps: Double(c.normEpsilon), ropeBase: Double(c.rope.base))
    return TwinModel(config: config, floats: floats)
  }
}
