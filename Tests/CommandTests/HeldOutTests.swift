/// `train` with held-out pairs: what it says, keeps and refuses.

import Foundation
import TestSupport
import Testing

struct HeldOutTests {
  private func pairs(_ shop: Workshop, _ name: String, exchanged: Bool = false) throws -> String {
    let lines = (0..<4).map {
      let answers = ["Yes, \($0).", "No, no, no, not \($0)."]
      return #"{"prompt":"Question \#($0)?","chosen":"\#(answers[exchanged ? 1 : 0])","#
        + #""rejected":"\#(answers[exchanged ? 0 : 1])"}"#
    }
    return try shop.file(name, lines.joined(separator: "\n"))
  }

  private func arguments(_ shop: Workshop, _ out: String) throws -> [String] {
    [
      "train", shop.model, "--pairs", try pairs(shop, "pairs.jsonl"), "--out", out, "--rank", "4", "--lr", "1e-3",
      "--batch", "2", "--epochs", "5", "--eta", "0.05",
    ]
  }

  /// What the answers are exchanged in gets worse as training goes on: the first evaluation is the best.
  @Test func trainingEndsWhenHeldOutPairsGetWorse() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out"
    let heldOut = try pairs(shop, "held-out.jsonl", exchanged: true)
    let more = ["--eval-pairs", heldOut, "--eval-steps", "1", "--early-stop", "2", "--best-by", "loss"]
    let result = try Program.run(try arguments(shop, out) + more)
    #expect(result.code == 0, "\(result.errors)")
    let metrics = try Program.Result(code: 0, output: Program.text(out + "/metrics.jsonl"), errors: "").objects()
    #expect(metrics.map { $0["eval_loss"] != nil } == [false, true, false, true, false, true])
    let losses = metrics.compactMap { $0["eval_loss"] as? Double }
    #expect(losses[0] < losses[1] && losses[0] < losses[2])
    #expect(result.errors.contains("Stopped early: 2 evaluations"), "\(result.errors)")
    #expect(result.errors.contains("step 1: '\(out)/best.gguf'"), "\(result.errors)")
    #expect(result.errors.contains("Held-out pairs after step 1") && result.errors.contains("the best so far"))

    // The best is the adapter of one step, the other one that of three.
    let best = try Data(contentsOf: URL(fileURLWithPath: out + "/best.gguf"))
    #expect(best != (try Data(contentsOf: URL(fileURLWithPath: out + "/adapter.gguf"))))
    let scored = try Program.run([
      "score", shop.model, "--data", out + "/eval-pairs.jsonl", "--adapter", out + "/best.gguf", "--reference", "base",
    ])
    let margin = try scored.objects().map { try #require($0["ratio"] as? Double) * 0.05 }.reduce(0, +) / 4
    let recorded = try #require(metrics[1]["eval_rewards/margins"] as? Double)
    // One forward: the scorer has the same log-probs, and four float64 terms differ in the order of their sum.
    expectClose(recorded, margin, absolute: 1e-12)

    let other = try Program.run(try arguments(shop, out) + more + ["--resume", "--eval-steps", "2"])
    #expect(other.code == 65, "\(other.errors)")
  }

  @Test func otherHeldOutPairsAreAnotherRun() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out"
    let heldOut = ["--eval-pairs", try pairs(shop, "held-out.jsonl")]
    #expect(try Program.run(try arguments(shop, out) + heldOut).code == 0)
    for (more, says) in [
      ([], "held-out pairs"), (["--eval-pairs", try pairs(shop, "other.jsonl", exchanged: true)], "held-out pairs"),
      (heldOut + ["--eval-steps", "2"], "eval-steps"),
    ] {
      let result = try Program.run(try arguments(shop, out) + more + ["--resume"])
      #expect(result.code == 65 && result.errors.contains(says), "\(result.errors)")
    }
  }

  @Test func settingsAboutHeldOutPairsNeedThem() throws {
    let shop = try Workshop()
    for option in [["--eval-steps", "5"], ["--best-by", "accuracy"], ["--early-stop", "3"]] {
      let result = try Program.run(try arguments(shop, shop.folder + "/out") + option)
      #expect(result.code == 64 && result.errors.contains("--eval-pairs"), "\(result.errors)")
    }
    let unknown = try Program.run(
      try arguments(shop, shop.folder + "/out") + ["--eval-pairs", "none", "--best-by", "x"])
    #expect(unknown.code == 64 && unknown.errors.contains("loss, accuracy"), "\(unknown.errors)")
    let held = try pairs(shop, "held-out.jsonl")
    let imitating = try Program.run([
      "train", shop.model, "--pairs", held, "--out", shop.folder + "/out", "--loss", "sft", "--eval-pairs", held,
      "--best-by", "accuracy",
    ])
    #expect(imitating.code == 64 && imitating.errors.contains("accuracy"), "\(imitating.errors)")
    let bad = try shop.file("bad.jsonl", #"{"prompt":"a","chosen":"b"}"# + "\n")
    let broken = try Program.run(try arguments(shop, shop.folder + "/out") + ["--eval-pairs", bad])
    #expect(broken.code == 65 && broken.errors.contains("ine 1") && broken.errors.contains(bad), "\(broken.errors)")
    #expect(!FileManager.default.fileExists(atPath: shop.folder + "/out"))
  }

  @Test func aRunOfRoundsEvaluatesInEach() throws {
    let shop = try Workshop()
    let out = shop.folder + "/run"
    let prompts = try shop.file("train.jsonl", (0..<4).map { #"{"prompt":"About \#($0)?"}"# + "\n" }.joined())
    let settings = [
      "model=\(shop.model)", "prompts=\(prompts)", "rounds=2", "samples=4", "max-new-tokens=8", "pairs=soft",
      "batch=2", "epochs=2", "rank=4", "lr=1e-3", "eval-pairs=\(try pairs(shop, "held-out.jsonl"))", "eval-steps=1",
      "tensorboard=\(out)/board",
    ]
    let result = try Program.run(["inpo", "--out", out, "--quiet"] + settings.flatMap { ["--set", $0] })
    #expect(result.code == 0, "\(result.errors)")
    for round in ["round-1", "round-2"] {
      let metrics = try Program.text("\(out)/\(round)/metrics.jsonl")
      #expect(metrics.split(separator: "\n").count { $0.contains("eval_loss") } == 2)
      #expect(FileManager.default.fileExists(atPath: "\(out)/\(round)/best.gguf"))
      #expect(FileManager.default.fileExists(atPath: "\(out)/board/\(round)/events.out.tfevents.000001"))
    }
    #expect(try Program.run(["inpo", "--out", out, "--quiet", "--resume"]).code == 0)
  }
}
