/// Evaluation on pairs that are not trained on: right numbers, the best adapter, an early end, and all of it after a kill.

import Adapters
import Foundation
import GGUF
import INPO
import Llama
import Scoring
import Tensors
import TestSupport
import Testing
import Training

@Suite struct HeldOutTests {
  /// Four pairs to train on and two to evaluate on, 8 steps of 2, an evaluation after every third and the last.
  private func job(_ bestBy: HeldOut.Measure = .loss, patience: Int? = nil) throws -> Job {
    var job = try Job(pairs: 6)
    job.heldOut = HeldOut(pairs: Array(job.pairs.suffix(2)), steps: 3, bestBy: bestBy, patience: patience)
    job.pairs.removeLast(2)
    (job.options.epochs, job.options.checkpointSteps) = (4, 2)
    return job
  }

  private func evaluations(_ folder: String) throws -> [EvaluationRecord] {
    try MetricsLog.read(folder + "/metrics.jsonl").evaluations
  }

  @Test func namesAreThoseOfTRL() throws {
    let folder = try temporaryFolder()
    _ = try job().run(in: folder)
    let record = try #require(try evaluations(folder).first)
    let object = try JSONSerialization.jsonObject(with: record.line()) as? [String: Any]
    #expect(
      Set(try #require(object).keys) == [
        "step", "epoch", "eval_loss", "eval_logps/chosen", "eval_logps/rejected", "eval_rewards/chosen",
        "eval_rewards/rejected", "eval_rewards/margins", "eval_rewards/accuracies",
      ])
  }

  /// Against the scorer, which knows nothing of training, with the adapter as it is at each evaluation.
  @Test func theNumbersAreThoseOfTheScorer() throws {
    let job = try job()
    let held = try #require(job.heldOut).pairs
    let (trainer, adapter) = try job.trainer(in: temporaryFolder())
    var steps: [Int] = []
    try trainer.run(
      resume: false,
      onEvaluation: { record, _ in
        steps.append(record.step)
        do {
          let scores = try Scorer(Policy(job.model, adapter: adapter)).logProbs(
            held.map {
              ScoreRequest(prompt: $0.group.prompt, responses: $0.group.answers)
            })
          var (loss, margin, accuracy) = (0.0, 0.0, 0.0)
          for (pair, score) in zip(held, scores) {
            let (chosen, rejected) = (score[0].logProbSum, score[1].logProbSum)
            let reward = Job.eta * ((chosen - pair.referenceChosen) - (rejected - pair.referenceRejected))
            loss +=
              job.loss(
                PairMargins(
                  chosen: .init(policy: chosen, reference: pair.referenceChosen, previous: pair.lastChosen),
                  rejected: .init(policy: rejected, reference: pair.referenceRejected, previous: pair.lastRejected))
              ).loss / 2
            margin += reward / 2
            accuracy += reward > 0 ? 0.5 : 0
          }
          // The same log-probs to the bit; sums of a few float64 terms in another order differ by a few times 2⁻⁵².
          expectClose(record.loss, loss, relative: 1e-14)
          expectClose(record.rewardMargins ?? .nan, margin, absolute: 1e-14)
          #expect(record.rewardAccuracies == accuracy)
        } catch {
          Issue.record("\(error)")
        }
      })
    #expect(steps == [3, 6, 8])
  }

  @Test func evaluatingDoesNotTouchTheTraining() throws {
    var job = try job()
    let with = try job.run()
    job.heldOut = nil
    let without = try job.run()
    #expect(with.bits == without.bits)
    #expect(with.records.map(\.withoutTimes) == without.records.map(\.withoutTimes))
  }

  @Test(arguments: HeldOut.Measure.allCases) func theBestAdapterIsKept(measure: HeldOut.Measure) throws {
    let job = try job(measure)
    let folder = try temporaryFolder()
    let (trainer, adapter) = try job.trainer(in: folder)
    var best: [UInt32] = []
    var value = measure == .loss ? Double.infinity : -1
    try trainer.run(
      resume: false,
      onEvaluation: { record, isBest in
        let isGain = measure == .loss ? record.loss < value : record.rewardAccuracies ?? -2 > value
        #expect(isBest == isGain, "step \(record.step)")
        guard isGain else { return }
        (value, best) = (measure == .loss ? record.loss : record.rewardAccuracies ?? -2, adapter.bits)
      })
    #expect(trainer.standing.best?.value == value)
    #expect(try LoRAAdapter.read(gguf: folder + "/best.gguf").bits == best)
  }

  /// Held-out pairs whose answers are exchanged get worse with every step.
  private func hopeless(patience: Int) throws -> Job {
    var job = try job(patience: patience)
    job.heldOut?.pairs = job.pairs.map {
      TrainingPair(
        ScoredGroup(prompt: $0.group.prompt, answers: $0.group.answers.reversed()),
        referenceChosen: $0.referenceRejected, referenceRejected: $0.referenceChosen, lastChosen: $0.lastRejected,
        lastRejected: $0.lastChosen)
    }
    job.heldOut?.steps = 1
    return job
  }

  @Test func aLossWithoutReferenceHasNoAccuracyToChooseBy() throws {
    var job = try job(.accuracy)
    job.loss = SFTLoss()
    #expect(throws: TrainerError.noAccuracy) { try job.trainer(in: temporaryFolder()) }
    job.heldOut?.bestBy = .loss
    let (trainer, _) = try job.trainer(in: temporaryFolder())
    try trainer.run(resume: false)
    #expect(trainer.standing.best != nil)
  }

  @Test func evaluationsWithoutGainEndTheRun() throws {
    let job = try hopeless(patience: 2)
    let folder = try temporaryFolder()
    let (trainer, adapter) = try job.trainer(in: folder)
    try trainer.run(resume: false)
    #expect(trainer.endsEarly)
    let records = try evaluations(folder)
    #expect(records.count == 3 && trainer.standing.best?.step == 1, "the first is best, two more do not gain")
    #expect(try MetricsLog.read(folder + "/metrics.jsonl").steps.count == 3)

    // It stays ended.
    let (again, same) = try job.trainer(in: folder)
    try again.run(resume: true) { Issue.record("step \($0.step) was done after the end") }
    #expect(again.endsEarly && same.bits == adapter.bits)
  }

  /// A folder as a kill leaves it after each step and each evaluation, and a stop before each pass.
  @Test func killedOrStoppedAnywhereItEndsTheSame() throws {
    var job = try hopeless(patience: 4)
    job.heldOut?.steps = 2
    let folder = try temporaryFolder()
    var copies: [String] = []
    func copy(_ name: String) {
      copies.append(folder + name)
      #expect(throws: Never.self) { try FileManager.default.copyItem(atPath: folder, toPath: folder + name) }
    }
    let (trainer, adapter) = try job.trainer(in: folder)
    var asked = 0
    try trainer.run(
      resume: false, onStep: { copy("-step-\($0.step)") },
      onEvaluation: { record, _ in copy("-held-out-\(record.step)") },
      isCancelled: {
        asked += 1
        return false
      })
    let (metrics, best) = (try MetricsLog.read(folder + "/metrics.jsonl"), try AtomicFile.read(folder + "/best.gguf"))
    #expect(copies.count == 8 + 4 && asked == 8 + 4 * 4)
    for stop in 1...asked {
      let stopped = try temporaryFolder()
      var count = 0
      #expect(throws: CancellationError.self) {
        try job.trainer(in: stopped).0.run(
          resume: false,
          isCancelled: {
            count += 1
            return count == stop
          })
      }
      copies.append(stopped)
    }
    for copy in copies {
      let result = try job.run(in: copy, resume: true)
      let again = try MetricsLog.read(copy + "/metrics.jsonl")
      #expect(result.bits == adapter.bits, "\(copy)")
      #expect(again.evaluations == metrics.evaluations, "\(copy)")
      #expect(again.steps.map(\.withoutTimes) == metrics.steps.map(\.withoutTimes), "\(copy)")
      #expect(try AtomicFile.read(copy + "/best.gguf") == best, "\(copy)")
    }
  }
}
