/// Nothing lost: a run that is stopped or killed at any point and goes on ends with the bits of one that was not.

import Adapters
import Foundation
import Llama
import TestSupport
import Testing
import Training

@Suite struct TrainerResumeTests {
  /// Five pairs in batches of two: three steps an epoch, the last with one pair; two epochs. Each pair has a pass of its own.
  private func job() throws -> Job {
    var job = try Job(pairs: 5)
    job.options.microBatchTokens = 1
    return job
  }
  private let steps = 6

  private func expectSame(
    _ got: Job.Result, _ want: Job.Result, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(got.bits == want.bits, "\(what)", sourceLocation: sourceLocation)
    #expect(
      got.records.map(\.withoutTimes) == want.records.map(\.withoutTimes), "\(what)", sourceLocation: sourceLocation)
  }

  /// The trainer asks between passes: before each of the ten pairs of the run.
  @Test func cancelledBeforeAnyPair() throws {
    let job = try job()
    let whole = try job.run()
    #expect(whole.records.count == steps)
    for pair in 0..<10 {
      let folder = try temporaryFolder()
      var asked = 0
      #expect(throws: CancellationError.self) {
        try job.trainer(in: folder).0.run(
          resume: false,
          isCancelled: {
            asked += 1
            return asked > pair
          })
      }
      expectSame(try job.run(in: folder, resume: true), whole, "cancelled before pair \(pair)")
    }
  }

  @Test func cancelledAgainAndAgain() throws {
    let job = try job()
    let folder = try temporaryFolder()
    for _ in 0..<5 {
      var asked = 0
      #expect(throws: CancellationError.self) {
        try job.trainer(in: folder).0.run(
          resume: true,
          isCancelled: {
            asked += 1
            return asked > 2
          })
      }
    }
    expectSame(try job.run(in: folder, resume: true), try job.run(), "five stops")
  }

  /// A kill leaves the folder as it is at that moment: a copy of it, taken after each step, with checkpoints every 1, 2
  /// and 4 steps, so that metrics may be ahead of the checkpoint, or there is none.
  @Test(arguments: [1, 2, 4]) func killedAfterAnyStep(every: Int) throws {
    var job = try job()
    job.options.checkpointSteps = every
    let folder = try temporaryFolder()
    var copies: [String] = []
    let (trainer, adapter) = try job.trainer(in: folder)
    try trainer.run(resume: false) { record in
      let copy = folder + "-after-\(record.step)"
      guard (try? FileManager.default.copyItem(atPath: folder, toPath: copy)) != nil else { return }
      copies.append(copy)
    }
    #expect(copies.count == steps)
    let whole = Job.Result(adapter: adapter, records: try records(folder))
    for copy in copies { expectSame(try job.run(in: copy, resume: true), whole, copy) }
  }

  @Test(arguments: OptimizerName.allCases) func everyOptimiserGoesOnAndEveryDropout(name: OptimizerName) throws {
    var job = try job()
    job.options.optimizer = name.choice(weightDecay: 0.1)
    (job.options.loraPlusRatio, job.options.dropout) = (4, 0.2)
    let whole = try job.run()
    let folder = try temporaryFolder()
    var asked = 0
    #expect(throws: CancellationError.self) {
      try job.trainer(in: folder).0.run(
        resume: false,
        isCancelled: {
          asked += 1
          return asked > 6
        })
    }
    expectSame(try job.run(in: folder, resume: true), whole, name.rawValue)
    #expect(whole.bits != job.start.bits)
  }

  @Test func aFinishedRunHasNothingLeftToDo() throws {
    let job = try job()
    let folder = try temporaryFolder()
    let whole = try job.run(in: folder)
    let (trainer, adapter) = try job.trainer(in: folder)
    try trainer.run(resume: true) { Issue.record("step \($0.step) was done again") }
    expectSame(Job.Result(adapter: adapter, records: try records(folder)), whole, "finished")
  }

  /// A run that starts afresh in an old folder, and is killed before its first checkpoint, must not go on from the old one.
  @Test func aFreshStartForgetsTheOldRun() throws {
    let job = try job()
    let folder = try temporaryFolder()
    let whole = try job.run(in: folder)
    try job.trainer(in: folder).0.run(resume: false) { record in
      if record.step == 2 { try? FileManager.default.copyItem(atPath: folder, toPath: folder + "-killed") }
    }
    #expect(try records(folder + "-killed").count == 2)
    expectSame(try job.run(in: folder + "-killed", resume: true), whole, "started afresh")
  }

  @Test func aCheckpointOfAnotherRunIsRefused() throws {
    var job = try job()
    let folder = try temporaryFolder()
    try job.trainer(in: folder, fingerprints: ["model": "a", "pairs": "b"]).0.run(resume: false)
    let path = folder + "/checkpoint/step-000006.ckpt"
    let (other, adapter) = try job.trainer(in: folder, fingerprints: ["model": "a", "pairs": "c"])
    #expect(throws: TrainerError.otherRun(path: path, what: "pairs")) { try other.run(resume: true) }
    #expect(adapter.bits == job.start.bits)
    job.options.seed += 1
    let (reseeded, _) = try job.trainer(in: folder, fingerprints: ["model": "a", "pairs": "b"])
    #expect(throws: TrainerError.otherRun(path: path, what: "seed")) { try reseeded.run(resume: true) }
  }
}
