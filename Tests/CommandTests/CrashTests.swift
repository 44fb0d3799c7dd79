/// `train` killed, stopped, with a full disk and a damaged file: it goes on, and ends with the bits of a run that nobody disturbed.

import Foundation
import TestSupport
import Testing

struct CrashTests {
  /// A run of 120 steps with everything that leaves files: checkpoints, evaluations, the best adapter, TensorBoard's events.
  private struct Scene {
    let shop: Workshop
    private let pairs: String
    private let heldOut: String

    init() throws {
      shop = try Workshop { $0.layers = 4 }
      func lines(_ range: Range<Int>) -> String {
        range.map { #"{"prompt":"Question \#($0)?","chosen":"Yes, \#($0).","rejected":"No, no, not \#($0)."}"# + "\n" }
          .joined()
      }
      pairs = try shop.file("pairs.jsonl", lines(0..<8))
      heldOut = try shop.file("held-out.jsonl", lines(8..<11))
    }

    func arguments(_ out: String, checkpointSteps: Int = 1) -> [String] {
      [
        "train", shop.model, "--pairs", pairs, "--out", out, "--resume", "--rank", "16", "--lr", "1e-3", "--batch", "2",
        "--epochs", "30", "--eta", "0.05", "--checkpoint-steps", "\(checkpointSteps)", "--eval-pairs", heldOut,
        "--eval-steps", "7", "--tensorboard", out + "/board",
      ]
    }

    /// A run that ends by itself, in a folder of its own.
    func whole() throws -> Ending {
      let out = shop.folder + "/whole"
      let result = try Program.run(arguments(out))
      #expect(result.code == 0, "\(result.errors)")
      return try Ending(out)
    }
  }

  /// What a run leaves that may not depend on how often it was stopped.
  private struct Ending: Equatable {
    let adapter: Data
    let best: Data
    /// Of the metrics, all but what the clock says.
    let losses: [Double?]
    let heldOutLosses: [Double?]

    init(_ out: String) throws {
      adapter = try Data(contentsOf: URL(fileURLWithPath: out + "/adapter.gguf"))
      best = try Data(contentsOf: URL(fileURLWithPath: out + "/best.gguf"))
      let metrics = try Program.Result(code: 0, output: Program.text(out + "/metrics.jsonl"), errors: "").objects()
      losses = metrics.map { $0["loss"] as? Double }
      heldOutLosses = metrics.map { $0["eval_loss"] as? Double }
    }
  }

  private func checkpoints(_ out: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: out + "/checkpoint")) ?? []).sorted()
  }

  private func whole(_ out: String) -> [String] { checkpoints(out).filter { $0.hasSuffix(".ckpt") } }
  private func parts(_ out: String) -> [String] { checkpoints(out).filter { $0.hasSuffix(".part") } }

  /// Starts a run and kills it when it has written checkpoints.
  private func killed(_ scene: Scene, _ out: String, checkpointSteps: Int = 1) throws {
    let running = try Program.launch(scene.arguments(out, checkpointSteps: checkpointSteps))
    while running.process.isRunning, whole(out).count < 2 { usleep(1000) }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.end()
    #expect(!FileManager.default.fileExists(atPath: out + "/adapter.gguf"), "it was killed before its end")
  }

  /// Kills at random moments, and every second time while a checkpoint is being written. `make test-slow` asks for 50 kills.
  @Test func killedAgainAndAgainItEndsTheSame() throws {
    let wanted = ProcessInfo.processInfo.environment["PARLEY_KILLS"].flatMap(Int.init) ?? 3
    let scene = try Scene()
    let whole = try scene.whole()
    // What shows that every step and every evaluation is compared.
    #expect(whole.losses.count == 120 + 18 && whole.heldOutLosses.count { $0 != nil } == 18)

    // Starting takes a good tenth of a second, a whole run a few.
    let delays = Seeded(1).integers(wanted, below: 600_000)
    var (kills, halves, runs) = (0, 0, 0)
    while kills < wanted {
      runs += 1
      let out = "\(scene.shop.folder)/run-\(runs)"
      var isDone = false
      while !isDone {
        let running = try Program.launch(scene.arguments(out))
        if kills < wanted {
          if kills.isMultiple(of: 2) {
            usleep(UInt32(delays[kills]))
          } else {
            while running.process.isRunning, parts(out).isEmpty {}
          }
          kill(running.process.processIdentifier, SIGKILL)
          kills += 1
        }
        let result = try running.end()
        isDone = running.process.terminationReason == .exit
        #expect(!isDone || result.code == 0, "\(result.errors)")
        if !isDone && !parts(out).isEmpty { halves += 1 }
      }
      #expect(try Ending(out) == whole, "run \(runs)")
    }
    // With so many tries one must have fallen between the writing and the renaming.
    #expect(halves > 0 || wanted < 20, "none of \(kills) kills left half a checkpoint")
  }

  /// No checkpoint is due: those there are were written because of the signal.
  @Test(arguments: [SIGTERM, SIGINT]) func aSignalWritesACheckpointFirst(signal: Int32) throws {
    let scene = try Scene()
    let out = scene.shop.folder + "/stopped"
    let running = try Program.launch(scene.arguments(out, checkpointSteps: 1000))
    while running.process.isRunning, (try? Program.text(out + "/metrics.jsonl").isEmpty) ?? true { usleep(1000) }
    kill(running.process.processIdentifier, signal)
    let result = try running.end()
    #expect(running.process.terminationReason == .exit && result.code == 130)
    #expect(result.errors.contains("--resume"), "\(result.errors)")
    #expect(checkpoints(out).count == 1)
    #expect(try Program.run(scene.arguments(out)).code == 0)
    #expect(try Ending(out) == scene.whole())
  }

  /// A limit on the size of files makes writes fail as a full disk does, at a point the test can choose: checkpoints are
  /// about 800 kB, everything else is far below the limit.
  @Test func aFullDiskLeavesTheLastCheckpoint() throws {
    let scene = try Scene()
    let out = scene.shop.folder + "/full"
    try killed(scene, out, checkpointSteps: 5)
    let kept = try #require(whole(out).last)
    let path = out + "/checkpoint/" + kept
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(bytes.count > 200_000)

    let full = try Program.run(scene.arguments(out, checkpointSteps: 5), after: "ulimit -f 100")
    #expect(full.code == 74, "\(full.errors)")
    // What could not be written, what is still there, and how to go on.
    let sentence = try #require(full.errors.split(separator: "\n").last)
    #expect(sentence.hasPrefix("parley: Could not write '\(out)/checkpoint/step-"), "\(sentence)")
    #expect(sentence.contains("'\(path)' is whole") && sentence.contains("--resume"), "\(sentence)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
    #expect(parts(out).isEmpty)

    #expect(try Program.run(scene.arguments(out)).code == 0)
    #expect(try Ending(out) == scene.whole())
  }

  @Test func aDamagedCheckpointIsNamedAndTheOneBeforeIsUsed() throws {
    let scene = try Scene()
    let out = scene.shop.folder + "/damaged"
    try killed(scene, out)
    let names = whole(out)
    #expect(names.count >= 2)
    let (before, newest) = (names[names.count - 2], names[names.count - 1])
    let url = URL(fileURLWithPath: out + "/checkpoint/" + newest)
    var bytes = try Data(contentsOf: url)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: url)

    let result = try Program.run(scene.arguments(out))
    #expect(result.code == 0, "\(result.errors)")
    let note = try #require(result.errors.split(separator: "\n").first { $0.contains("damaged") })
    #expect(note.contains(newest) && note.contains(before), "\(note)")
    #expect(try Ending(out) == scene.whole())
  }

  @Test func asManyCheckpointsStayAsAskedFor() throws {
    let scene = try Scene()
    for keep in [1, 3] {
      let out = scene.shop.folder + "/keep-\(keep)"
      #expect(try Program.run(scene.arguments(out, checkpointSteps: 50) + ["--checkpoint-keep", "\(keep)"]).code == 0)
      let want = ["step-000050.ckpt", "step-000100.ckpt", "step-000120.ckpt"].suffix(keep)
      #expect(checkpoints(out) == Array(want))
    }
  }
}
