/// Event files against the bytes that TensorBoard's own package makes of the same lines of metrics.

import Foundation
import Tensors
import TestSupport
import Testing
import Training

@Suite struct TensorBoardTests {
  private let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures").path
  private let time = 1_764_000_000.25

  @Test func bytesAreThoseOfThePackage() throws {
    let folder = try temporaryFolder() + "/a/b"
    let log = try TensorBoardLog(folder: folder, step: 7, time: time)
    let (steps, evaluations) = try MetricsLog.read(fixtures + "/tensorboard.jsonl")
    #expect(steps.count == 2 && evaluations.count == 1)
    for step in steps { try log.append(step, time: time) }
    for evaluation in evaluations { try log.append(evaluation, time: time) }
    let got = try AtomicFile.read(folder + "/events.out.tfevents.000001")
    #expect(got == (try AtomicFile.read(fixtures + "/tensorboard.tfevents")))
  }

  /// TensorBoard reads files in the order of their names.
  @Test func everyStartHasAFileBehindTheOthers() throws {
    let folder = try temporaryFolder()
    try AtomicFile.write("", to: folder + "/events.out.tfevents.000009")
    try AtomicFile.write("", to: folder + "/events.out.tfevents.1764000000.host")
    _ = try TensorBoardLog(folder: folder, step: 1, time: time)
    _ = try TensorBoardLog(folder: folder, step: 5, time: time)
    let names = try FileSystem.names(in: folder).filter { $0.hasPrefix("events.out.tfevents.0") }.sorted()
    #expect(names.map { $0.suffix(2) } == ["09", "10", "11"])
    // The session that begins at step 5 says so: field 2 of its event, then a session log whose status is START.
    let bytes = try AtomicFile.read(folder + "/events.out.tfevents.000011")
    #expect(bytes.suffix(10).prefix(6) == [0x10, 5, 0x3a, 2, 0x08, 1])
  }

  @Test func aRunWritesAnEventForEachLineAndGoesOnInANewFile() throws {
    var job = try Job(pairs: 4)
    let folder = try temporaryFolder()
    job.options.tensorBoard = folder + "/board"
    var asked = 0
    #expect(throws: CancellationError.self) {
      try job.trainer(in: folder).0.run(
        resume: false,
        isCancelled: {
          asked += 1
          return asked == 2
        })
    }
    _ = try job.run(in: folder, resume: true)
    let names = try FileSystem.names(in: folder + "/board").sorted()
    #expect(names == ["events.out.tfevents.000001", "events.out.tfevents.000002"])
    // A version and a start in each; one of the four steps in the first, three in the second.
    #expect(try names.map { try records(folder + "/board/" + $0) } == [3, 5])
  }

  /// Counts the records of an event file by their lengths.
  private func records(_ path: String) throws -> Int {
    var rest = try AtomicFile.read(path)[...]
    var count = 0
    while !rest.isEmpty {
      let length = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      try #require(rest.count >= 16 + length)
      rest = rest.dropFirst(16 + length)
      count += 1
    }
    return count
  }
}
