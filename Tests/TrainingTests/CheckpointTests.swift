import Foundation
import Tensors
import Testing
import Training

private func folder() throws -> String {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  return url.path
}

private let state: Checkpoint.State = {
  var state = Checkpoint.State(seed: .max, fingerprints: ["model": "ab", "data": "ü\"\n"])
  (state.step, state.epoch, state.cursor, state.tokens) = (12, 1, 96, 1 << 40)
  (state.metricsPosition, state.skippedPosition, state.skippedInARow) = (4711, 815, 3)
  // No short decimals: every bit of a number must come back.
  state.seconds = 0.1 + 0.2
  state.heldOut.best = HeldOut.Best(value: 1.0 / 3, step: 90)
  (state.heldOut.withoutGain, state.heldOut.evaluatedAt) = (2, 100)
  return state
}()

private func checkpoint() -> Checkpoint {
  let odd: [Float] = [-0.0, .nan, .infinity, .leastNonzeroMagnitude, 0.1]
  return Checkpoint(
    state: state,
    buffers: [("blk.0.attn_q.weight.lora_a", Buffer(odd)), ("empty", Buffer(count: 0)), ("m", Buffer([1, 2, 3]))])
}

@Test func checkpointsReadBackBitForBit() throws {
  let path = try folder() + "/checkpoint"
  try checkpoint().write(to: path)
  let back = try Checkpoint.read(path)
  #expect(back.state == state)
  #expect(back.buffers.map(\.name) == checkpoint().buffers.map(\.name))
  for (got, want) in zip(back.buffers, checkpoint().buffers) {
    #expect(Array(got.bytes) == Array(want.bytes))
  }
  #expect(!FileManager.default.fileExists(atPath: path + ".part"))
}

@Test func everyTornLengthIsRecognised() throws {
  let path = try folder() + "/checkpoint"
  try checkpoint().write(to: path)
  let whole = try Data(contentsOf: URL(fileURLWithPath: path))
  for length in 0..<whole.count {
    try whole.prefix(length).write(to: URL(fileURLWithPath: path))
    #expect(throws: CheckpointError.self, "cut to \(length) bytes") { try Checkpoint.read(path) }
  }
  try (whole + [0]).write(to: URL(fileURLWithPath: path))
  #expect(throws: CheckpointError.self) { try Checkpoint.read(path) }
}

@Test func everyFlippedByteIsRecognised() throws {
  let path = try folder() + "/checkpoint"
  try checkpoint().write(to: path)
  let whole = try Data(contentsOf: URL(fileURLWithPath: path))
  for at in whole.indices {
    var broken = whole
    broken[at] ^= 0x10
    try broken.write(to: URL(fileURLWithPath: path))
    #expect(throws: CheckpointError.self, "byte \(at)") { try Checkpoint.read(path) }
  }
}

@Test func otherFilesAreNamed() throws {
  let path = try folder() + "/checkpoint"
  #expect(throws: FileError.notFound(path)) { try Checkpoint.read(path) }
  try Data("GGUF and more of it".utf8).write(to: URL(fileURLWithPath: path))
  #expect(throws: CheckpointError.notOne(path)) { try Checkpoint.read(path) }
  try checkpoint().write(to: path)
  var data = try Data(contentsOf: URL(fileURLWithPath: path))
  data[8] = 9
  try data.write(to: URL(fileURLWithPath: path))
  #expect(throws: CheckpointError.unknownVersion(path, found: 9)) { try Checkpoint.read(path) }
}

@Test func buffersGoBackWhereTheyBelong() throws {
  let target = Buffer<Float>(count: 3)
  try checkpoint().restore("m", into: target, path: "c")
  #expect(target.values == [1, 2, 3])
  #expect(throws: CheckpointError.missing("c", buffer: "v")) {
    try checkpoint().restore("v", into: target, path: "c")
  }
  #expect(throws: CheckpointError.wrongCount("c", buffer: "empty", needs: 3, has: 0)) {
    try checkpoint().restore("empty", into: target, path: "c")
  }
}

@Test func aFailedWriteLeavesTheOldFile() throws {
  let path = try folder() + "/file"
  try AtomicFile.write([1, 2, 3], to: path)
  #expect(throws: FileError.notFound("stop")) {
    try AtomicFile.write(to: path) { sink throws(FileError) in
      try sink.write([9])
      throw FileError.notFound("stop")
    }
  }
  #expect(try AtomicFile.read(path) == [1, 2, 3])
  #expect(!FileManager.default.fileExists(atPath: path + ".part"))
  try AtomicFile.write(Data(repeating: 7, count: 3_000_000), to: path)
  #expect(try AtomicFile.read(path) == Array(repeating: 7, count: 3_000_000))
  #expect(throws: FileError.refused(action: "write", path: path + "/x", code: ENOTDIR)) {
    try AtomicFile.write([1], to: path + "/x")
  }
}

@Test func aCheckpointThatCannotBeReadIsAFileError() throws {
  let path = try folder()
  #expect(throws: FileError.notAFile(path)) { try Checkpoint.read(path) }
  #expect(throws: FileError.notFound(path + "/none")) { try Checkpoint.read(path + "/none") }
}
