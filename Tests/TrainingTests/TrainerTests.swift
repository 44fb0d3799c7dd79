/// A training run against the float64 twin, and its rules: what it starts from, what it refuses, what it reports.

import Adapters
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
    job.options.schedule = Schedule(.constant, peak: rate)
    job.options.optimizer = AdamW.Options(epsilon: epsilon, weightDecay: 0.1)
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
        prompt: Array(pair.chosen.tokens.prefix(pair.chosen.answerStart)),
        responses: [Array(pair.chosen.answer), Array(pair.rejected!.answer)])
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
    #expect(trainer.plan.keptBlocks == 2)
    job.options.memory = try leastMemory(job)
    #expect(try job.trainer(in: temporaryFolder()).0.plan.keptBlocks == 0)
    #expect(try job.run().bits == one.bits)
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
    (job.options.batch, job.options.epochs) = (1, 1)
    let (model, adapter, pair) = (try job.twin(), job.start.twin, job.pairs[0])
    func gradient(_ sequence: ScoredSequence, _ slope: Double) -> [Double] {
      let tape = model.forward(sequence.tokens.map(Int.init), adapter)
      let weights = tape.logProbs.indices.map { $0 < sequence.answerStart - 1 ? 0 : slope }
      return model.backward(weights, at: tape, adapter).gradient.parameters
    }
    let (up, down) = (gradient(pair.chosen, 0.75), gradient(pair.rejected!, 2))
    let cases: [(PairNeeds, [Double])] = [(.rejected, zip(up, down).map { $0 + $1 }), ([], up)]
    for (needs, want) in cases {
      job.loss = Uneven(needs: needs)
      let record = try #require(job.run().records.first)
      // A gradient is within 1e-4 of its length (`TwinGradientTests`).
      expectClose(record.gradNorm, want.reduce(0) { $0 + $1 * $1 }.squareRoot(), relative: 1e-4)
      #expect(record.numTokens == (needs == [] ? pair.chosen.tokens.count : pair.tokens))
    }
  }

  /// SFT imitates: its loss falls, and what it does not look at is not in the record.
  @Test func sftLearnsTheChosenAnswers() throws {
    var job = try Job(pairs: 2)
    job.loss = SFTLoss()
    job.options.epochs = 40
    job.pairs = job.pairs.map { TrainingPair(chosen: $0.chosen) }
    let records = try job.run().records
    let (first, last) = (try #require(records.first), try #require(records.last))
    #expect(last.loss < 0.5 * first.loss && last.chosenLogps > first.chosenLogps)
    #expect(first.rejectedLogps == nil && first.chosenRewards == nil && first.rewardMargins == nil && first.h == nil)
    #expect(!String(decoding: try first.line(), as: UTF8.self).contains("rewards/"))
  }

  @Test func pairsMustHaveWhatTheLossNeeds() throws {
    var job = try Job(pairs: 2)
    let whole = job.pairs[1]
    job.pairs[1] = TrainingPair(chosen: whole.chosen, rejected: whole.rejected)
    #expect(throws: TrainerError.lacking(.frozen, pair: 1)) { try job.trainer(in: temporaryFolder()) }
    job.loss = try SimPOLoss(beta: 2, gamma: 1)
    job.options.epochs = 1
    let record = try #require(job.run().records.first)
    #expect(record.chosenRewards == nil && record.rejectedLogps != nil && record.target == 0.5)
    job.pairs[1] = TrainingPair(chosen: whole.chosen)
    #expect(throws: TrainerError.lacking(.rejected, pair: 1)) { try job.trainer(in: temporaryFolder()) }
  }

  // MARK: Refusals

  /// The job's own pairs pass (every other test); one unit in the last place does not.
  @Test func frozenLogProbsMustBeThePolicysOwn() throws {
    var job = try Job(pairs: 2)
    let right = job.pairs[1]
    job.pairs[1] = TrainingPair(
      chosen: right.chosen, rejected: right.rejected, referenceChosen: right.referenceChosen,
      referenceRejected: right.referenceRejected, lastChosen: right.lastChosen.nextUp, lastRejected: right.lastRejected)
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
      let p = job.pairs[i]
      job.pairs[i] = TrainingPair(
        chosen: p.chosen, rejected: p.rejected, referenceChosen: p.referenceChosen,
        referenceRejected: p.referenceRejected, lastChosen: p.lastChosen, lastRejected: p.lastRejected,
        probability: 0.25)
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
    let state = try Checkpoint.read(folder + "/checkpoint/trainer.ckpt").state
    #expect(state.step == 3 && state.epoch == 1 && state.cursor == 0)
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
    } catch TrainerError.memory(let needs, _) {
      return needs
    }
    return 0
  }

  @Test func aBudgetThatCannotWorkIsRefused() throws {
    var job = try Job(pairs: 2)
    let least = try leastMemory(job)
    #expect(least > 0)
    job.options.memory = least - 1
    #expect(throws: TrainerError.memory(needs: least, has: least - 1)) { try job.trainer(in: temporaryFolder()) }
    job.options.memory = least
    let plan = try job.trainer(in: temporaryFolder()).0.plan
    #expect(plan.keptBlocks == 0 && plan.activationBytes + plan.adapterBytes == least)
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
    let ids = sequences.map { $0.tokens.map(Int.init) }
    return TwinPair(
      prompt: Array(ids[0].prefix(chosen.answerStart)), chosen: Array(ids[0].dropFirst(chosen.answerStart)),
      rejected: Array(ids[1].dropFirst(rejected!.answerStart)), reference: referenceChosen - referenceRejected,
      previous: lastChosen - lastRejected)
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
      vocabularySize: model.vocabularySize, eps: Double(c.normEpsilon), ropeBase: Double(c.ropeBase))
    return TwinModel(config: config, floats: floats)
  }
}
