import Foundation
import Tensors
import Testing
import Training

private func record(_ step: Int, loss: Double = 0.1) -> MetricsRecord {
  MetricsRecord(
    step: step, epoch: 0.25, loss: loss, gradNorm: 3, learningRate: 1e-5, numTokens: 1000, chosenLogps: -10.5,
    rejectedLogps: -20, chosenRewards: 1, rejectedRewards: -0.5, rewardAccuracies: 0.75, h: 2, target: 100,
    tokensPerSecond: 12.5, elapsed: 3, remaining: 9)
}

private func path() -> String {
  FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).jsonl").path
}

private func lines(_ path: String) throws -> [MetricsRecord] {
  try Data(AtomicFile.read(path)).split(separator: UInt8(ascii: "\n")).map { try MetricsRecord(line: $0) }
}

@Test func namesAreThoseOfTRL() throws {
  let object = try JSONSerialization.jsonObject(with: record(1).line()) as? [String: Any]
  #expect(
    Set(try #require(object).keys) == [
      "step", "epoch", "loss", "grad_norm", "learning_rate", "num_tokens", "logps/chosen", "logps/rejected",
      "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "h", "target",
      "tokens_per_second", "elapsed", "remaining",
    ])
  #expect(record(1).rewardMargins == 1.5)
}

@Test func lossesThatAreNotNumbersAreWritten() throws {
  let line = try record(1, loss: .nan).line()
  #expect(String(decoding: line, as: UTF8.self).contains(#""loss":"NaN""#))
  #expect(try MetricsRecord(line: line).loss.isNaN)
}

@Test func aResumedRunRepeatsNoLine() throws {
  let path = path()
  let remembered: Int
  do {
    let log = try MetricsLog(path: path)
    for step in 1...3 { try log.append(record(step)) }
    try log.synchronize()
    remembered = log.position
    for step in 4...5 { try log.append(record(step)) }
  }
  // Killed in the middle of a line.
  let handle = try #require(FileHandle(forWritingAtPath: path))
  try handle.seekToEnd()
  try handle.write(contentsOf: Data(#"{"loss":0."#.utf8))
  try handle.close()

  let log = try MetricsLog(path: path, position: remembered)
  for step in 4...6 { try log.append(record(step, loss: 7)) }
  #expect(try lines(path) == (1...3).map { record($0) } + (4...6).map { record($0, loss: 7) })
  #expect(log.position == (try AtomicFile.read(path).count))
}

@Test func anotherMetricsFileIsRefused() throws {
  let path = path()
  #expect(throws: FileError.notFound(path)) { try MetricsLog(path: path, position: 10) }
  try AtomicFile.write([10], to: path)
  #expect(throws: MetricsError.shorter(path: path, needs: 10, has: 1)) { try MetricsLog(path: path, position: 10) }
  _ = try MetricsLog(path: path)
  #expect(try AtomicFile.read(path).isEmpty)
}
