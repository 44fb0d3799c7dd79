import Foundation
import Tensors
import TestSupport
import Testing
import Training

@Suite struct CheckpointFolderTests {
  private func checkpoint(_ step: Int) -> Checkpoint {
    var state = Checkpoint.State(seed: 1)
    state.cursor = step
    return Checkpoint(state: state, buffers: [("a", Buffer([1, 2, Float(step)]))])
  }

  private func names(_ folder: CheckpointFolder) throws -> [String] { try FileSystem.names(in: folder.path).sorted() }

  @Test func theNewestFewStay() throws {
    let folder = CheckpointFolder(try temporaryFolder() + "/checkpoint", keep: 2)
    #expect(try folder.newest { Issue.record("\($0)") } == nil)
    for step in [3, 90, 120, 1_000_000] { try folder.write(checkpoint(step), step: step) }
    #expect(try names(folder) == ["step-000120.ckpt", "step-1000000.ckpt"])
    let newest = try #require(try folder.newest { Issue.record("\($0)") })
    #expect(newest.path == folder.path + "/step-1000000.ckpt" && newest.checkpoint.state.cursor == 1_000_000)
    try folder.clear()
    #expect(try names(folder).isEmpty)
  }

  @Test func aDamagedOneIsNamedAndTheOneBeforeIsUsed() throws {
    let folder = CheckpointFolder(try temporaryFolder(), keep: 3)
    for step in 1...3 { try folder.write(checkpoint(step), step: step) }
    for step in 2...3 {
      var bytes = try AtomicFile.read(folder.file(step: step))
      bytes[bytes.count / 2] ^= 1
      try AtomicFile.write(bytes, to: folder.file(step: step))
    }
    var notes: [String] = []
    let newest = try #require(try folder.newest { notes.append($0) })
    #expect(newest.checkpoint.state.cursor == 1)
    #expect(notes.count == 2 && notes.allSatisfy { $0.contains(folder.file(step: 1)) })
    #expect(notes[0].contains(folder.file(step: 3)) && notes[1].contains(folder.file(step: 2)))

    // The run gets to step 2 again: what is behind it is no longer of this run.
    try folder.write(checkpoint(2), step: 2)
    #expect(try folder.steps() == [2, 1])
  }

  @Test func whenNoneIsWholeTheRunDoesNotBeginAnew() throws {
    let folder = CheckpointFolder(try temporaryFolder(), keep: 2)
    for step in 1...2 { try AtomicFile.write("PARLEYCK and no more of it at all", to: folder.file(step: step)) }
    #expect(throws: CheckpointError.unknownVersion(folder.file(step: 2), found: 1_684_955_424)) {
      try folder.newest { _ in }
    }
  }

  @Test func whatAKilledWriteLeftIsRemoved() throws {
    let folder = CheckpointFolder(try temporaryFolder(), keep: 2)
    try folder.write(checkpoint(1), step: 1)
    try AtomicFile.write("half", to: folder.file(step: 2) + ".part")
    #expect(try folder.newest { _ in }?.checkpoint.state.cursor == 1)
    #expect(try names(folder) == ["step-000001.ckpt"])
  }
}
