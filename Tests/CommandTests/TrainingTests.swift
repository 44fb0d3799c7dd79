import Adapters
import Foundation
import TestSupport
import Testing

/// `train` and `inpo` on tiny models: what they write, what they refuse, and that nothing is lost.
struct TrainingTests {
  private func pairs(_ shop: Workshop, count: Int) throws -> String {
    let lines = (0..<count).map {
      #"{"prompt":"Question \#($0)?","chosen":"Yes, \#($0).","rejected":"No, no, no, not \#($0)."}"#
    }
    return try shop.file("pairs.jsonl", lines.joined(separator: "\n"))
  }

  private func arguments(_ shop: Workshop, _ pairs: String, _ out: String, epochs: Int = 10) -> [String] {
    [
      "train", shop.model, "--pairs", pairs, "--out", out, "--rank", "4", "--lr", "1e-3", "--batch", "2", "--epochs",
      "\(epochs)",
      "--schedule", "constant", "--checkpoint-steps", "1", "--eta", "0.05", "--ratio", "0.5",
    ]
  }

  private func metrics(_ out: String) throws -> [[String: Any]] {
    try Program.Result(code: 0, output: Program.text(out + "/metrics.jsonl"), errors: "").objects()
  }

  private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

  @Test func trainingStartsAtItsTargetAndLearns() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out"
    let result = try Program.run(arguments(shop, try pairs(shop, count: 4), out))
    #expect(result.code == 0, "\(result.errors)")
    let steps = try metrics(out)
    #expect(steps.count == 20, "10 epochs of 4 pairs in steps of 2")
    // Policy, reference and last policy are one: h is 0, and the loss (0 − 1/(2η))² = 100 for η = 1/20.
    #expect(steps.first?["loss"] as? Double == 100)
    #expect(try #require(steps.last?["loss"] as? Double) < 90)
    let frozen = try Program.Result(code: 0, output: Program.text(out + "/pairs.jsonl"), errors: "").objects()
    for pair in frozen {
      #expect(pair["reference_chosen_logps"] as? Double == pair["last_chosen_logps"] as? Double)
      #expect(pair["reference_fingerprint"] as? String != nil)
    }

    // What was written is an adapter of this model that prefers the chosen answers.
    let scored = try Program.run([
      "score", shop.model, "--data", out + "/pairs.jsonl", "--adapter", out + "/adapter.gguf", "--reference", "base",
      "--quiet",
    ])
    for pair in try scored.objects() { #expect(try #require(pair["ratio"] as? Double) > 0) }

    let again = try Program.run(arguments(shop, try pairs(shop, count: 4), out))
    #expect(again.code == 64)
    #expect(again.errors.contains("--resume"))
  }

  /// Everything that shapes a run at once, on a model with a head of its own; what is written loads and says the same.
  @Test func optimisersAndAdaptersAsWished() throws {
    let shop = try Workshop { $0.isTied = false }
    let data = try pairs(shop, count: 4)
    let out = shop.folder + "/out"
    let shapes = [
      "--optimizer", "adamw-8bit", "--lora-plus-ratio", "2", "--rslora", "--rank-pattern", "attn_q=2,output=8",
      "--alpha-pattern", "mlp=3", "--dropout", "0.1", "--targets", "all-linear,output",
    ]
    let result = try Program.run(arguments(shop, data, out, epochs: 20) + shapes)
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.errors.contains("Reference: base ("))
    #expect(result.errors.contains("starts from: a fresh adapter ("))
    let adapter = try LoRAAdapter.read(gguf: out + "/adapter.gguf")
    #expect(adapter.modules.count == 15)
    for module in adapter.modules {
      #expect(module.rank == (module.name.contains("attn_q") ? 2 : module.name == "output.weight" ? 8 : 4))
      #expect(module.b.values.contains { $0 != 0 })
    }
    let scored = try Program.run([
      "score", shop.model, "--data", out + "/pairs.jsonl", "--adapter", out + "/adapter.gguf", "--reference", "base",
      "--quiet",
    ])
    for pair in try scored.objects() { #expect(try #require(pair["ratio"] as? Double) > 0) }

    // Going on from it: the reference and the start are two policies now, and both are named.
    let next = try Program.run([
      "train", shop.model, "--pairs", data, "--out", shop.folder + "/next", "--policy", out + "/adapter.gguf",
      "--optimizer", "lion", "--lr", "1e-5", "--epochs", "1",
    ])
    #expect(next.code == 0, "\(next.errors)")
    #expect(next.errors.contains("starts from: \(out)/adapter.gguf ("))
    let fingerprints = next.errors.matches(of: /\([0-9a-f]{16}\)/).map { String($0.output) }
    #expect(fingerprints.count == 2 && Set(fingerprints).count == 2)
    #expect(result.errors.contains(try #require(fingerprints.first)), "the base is the same in both runs")
  }

  @Test func headsOfTiedModelsAndIdlePatternsAreRefused() throws {
    let shop = try Workshop()
    let data = try pairs(shop, count: 2)
    for (options, code, says) in [
      (["--targets", "output"], 65, "one matrix as embedding and head"),
      (["--targets", "token_embd"], 65, "one matrix as embedding and head"),
      (["--rank-pattern", "attn_q=x"], 64, "rank-pattern"), (["--rank-pattern", "output=8"], 65, "output=8"),
      (["--optimizer", "adam"], 64, "adamw-8bit"), (["--dropout", "1"], 64, "dropout"),
      (["--policy", shop.adapter, "--rslora"], 64, "--rslora"),
    ] as [([String], Int32, String)] {
      let out = shop.folder + "/out"
      let result = try Program.run(["train", shop.model, "--pairs", data, "--out", out] + options)
      #expect(result.code == code, "\(options): \(result.errors)")
      #expect(result.errors.contains(says), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: out))
    }
  }

  @Test(arguments: [SIGKILL, SIGINT])
  func aStoppedRunEndsWithTheSameAdapter(signal: Int32) throws {
    let shop = try Workshop { $0.layers = 4 }
    let (whole, stopped) = (shop.folder + "/whole", shop.folder + "/stopped")
    let data = try pairs(shop, count: 8)
    #expect(try Program.run(arguments(shop, data, whole, epochs: 60)).code == 0)

    let running = try Program.launch(arguments(shop, data, stopped, epochs: 60))
    while running.process.isRunning, (try? metrics(stopped).count) ?? 0 < 3 { usleep(1000) }
    kill(running.process.processIdentifier, signal)
    let result = try running.end()
    #expect(!FileManager.default.fileExists(atPath: stopped + "/adapter.gguf"), "it was stopped before its end")
    if signal == SIGINT {
      #expect(result.code == 130)
      #expect(result.errors.contains("--resume"))
    }
    let resumed = try Program.run(arguments(shop, data, stopped, epochs: 60) + ["--resume"])
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(try bytes(stopped + "/adapter.gguf") == bytes(whole + "/adapter.gguf"))
    #expect(try metrics(stopped).map { $0["loss"] as? Double } == metrics(whole).map { $0["loss"] as? Double })
  }

  @Test func settingsWithoutMeaningAreRefused() throws {
    let shop = try Workshop()
    let data = try pairs(shop, count: 2)
    func code(_ more: [String]) throws -> Int32 {
      try Program.run(["train", shop.model, "--pairs", data, "--out", shop.folder + "/out"] + more).code
    }
    #expect(try code(["--lr", "fast"]) == 64)
    #expect(try code(["--tau", "0.1", "--ratio", "0.5"]) == 64)
    #expect(try code(["--policy", shop.adapter, "--rank", "8"]) == 64)
    #expect(try code(["--loss", "perfect"]) == 64)
    #expect(try code(["--backward", "int8"]) == 64)
    #expect(try code(["--loss", "dpo", "--eta", "3"]) == 64)
    #expect(try code(["--beta", "0.2"]) == 64)
    #expect(try code(["--loss", "sft", "--beta", "0.2"]) == 64)
    #expect(try code(["--loss", "simpo", "--reference", "base"]) == 64)
    #expect(try code(["--loss", "hinge", "--label-smoothing", "0.1"]) == 64)
    #expect(try code(["--tau", "0.01", "--eta", "0.001"]) == 64)
    #expect(!FileManager.default.fileExists(atPath: shop.folder + "/out"))
  }

  @Test func sftTrainsOnPairsAndOnExamples() throws {
    let shop = try Workshop()
    func run(_ data: String, _ out: String, _ loss: String = "sft") throws -> Program.Result {
      try Program.run([
        "train", shop.model, "--pairs", data, "--out", shop.folder + "/" + out, "--loss", loss, "--lr", "1e-2",
        "--epochs", "10", "--batch", "2",
      ])
    }
    let examples = try shop.file(
      "examples.jsonl",
      #"""
      {"prompt":"Question 0?","response":"Yes, 0."}
      {"messages":[{"role":"user","content":"Question 1?"},{"role":"assistant","content":"Yes, 1."}]}
      """#)
    for (data, out) in [(try pairs(shop, count: 2), "pairs"), (examples, "examples")] {
      let result = try run(data, out)
      #expect(result.code == 0, "\(result.errors)")
      #expect(!result.errors.contains("Scoring"), "nothing is scored")
    }
    let steps = try metrics(shop.folder + "/pairs")
    let losses = steps.compactMap { $0["loss"] as? Double }
    #expect(losses.count == 10 && losses[9] < losses[0])
    #expect(steps[0]["rewards/chosen"] == nil && steps[0]["logps/rejected"] == nil)
    // The same answers to the same prompts, written in other words. The files differ in what they say of their data.
    let adapters = try ["pairs", "examples"].map { try LoRAAdapter.read(gguf: shop.folder + "/\($0)/adapter.gguf") }
    #expect(adapters[0].canonicalBytes == adapters[1].canonicalBytes)

    let lacking = try run(examples, "dpo", "dpo")
    #expect(lacking.code == 65)
    #expect(lacking.errors.contains("ine 1") && lacking.errors.contains("'chosen' is missing"), "\(lacking.errors)")
  }

  /// Every loss on the same pairs; those without a reference score nothing.
  @Test(arguments: ["ipo", "ipo-mean", "online-ipo", "dpo", "robust", "hinge", "sppo", "simpo"])
  func everyLossTrains(loss: String) throws {
    let shop = try Workshop()
    let out = shop.folder + "/out"
    var arguments = ["train", shop.model, "--pairs", try pairs(shop, count: 2), "--out", out, "--loss", loss]
    if loss == "robust" { arguments += ["--label-smoothing", "0.1"] }
    let result = try Program.run(arguments + ["--lr", "1e-3", "--epochs", "5", "--batch", "2"])
    #expect(result.code == 0, "\(result.errors)")
    let steps = try metrics(out)
    let losses = steps.compactMap { $0["loss"] as? Double }
    #expect(losses.count == 5 && losses[4] < losses[0])
    #expect((steps[0]["rewards/margins"] == nil) == (loss == "simpo"))
    #expect(try Program.text(out + "/pairs.jsonl").contains("reference_chosen_logps") == (loss != "simpo"))
  }

  /// tau does not depend on whether eta comes before or after it: half of it, the loss is the one of ratio 0.5.
  @Test func tauCountsWithTheEtaGiven() throws {
    let shop = try Workshop()
    let data = try pairs(shop, count: 2)
    var losses: [[Double?]] = []
    for (name, options) in [
      ("ratio", ["--eta", "0.05", "--ratio", "0.5"]), ("before", ["--tau", "0.025", "--eta", "0.05"]),
      ("after", ["--eta", "0.05", "--tau", "0.025"]),
    ] {
      let out = shop.folder + "/" + name
      let base = ["train", shop.model, "--pairs", data, "--out", out, "--policy", shop.adapter, "--quiet"]
      let result = try Program.run(base + ["--lr", "1e-3", "--epochs", "3"] + options)
      #expect(result.code == 0, "\(result.errors)")
      losses.append(try metrics(out).map { $0["loss"] as? Double })
    }
    #expect(losses[0] == losses[1] && losses[0] == losses[2])
  }

  @Test func aPairTheModelCannotTakeIsNamedByFileAndLine() throws {
    let shop = try Workshop()
    let good = #"{"prompt":"a","chosen":"b","rejected":"c"}"#
    for (bad, says) in [
      (#"{"prompt":"a","chosen":"b","rejected":"c","rejected_ids":[4711]}"#, "4711"),
      (#"{"prompt":"a","chosen":"b","chosen_ids":[],"rejected":"c"}"#, "chosen_ids"),
      (#"{"prompt":"a","chosen":"b","rejected":"\#(String(repeating: "x", count: 300))"}"#, "context"),
    ] {
      let data = try shop.file("bad.jsonl", "\(good)\n\n\(bad)\n")
      let out = shop.folder + "/out"
      let result = try Program.run(["train", shop.model, "--pairs", data, "--out", out])
      #expect(result.code == 65)
      for part in [data, "ine 3", says] { #expect(result.errors.contains(part), "\(result.errors)") }
      #expect(!FileManager.default.fileExists(atPath: out))
    }
  }

  @Test func aResumedRunMayHaveOtherMemoryAndCheckpoints() throws {
    let shop = try Workshop()
    let (out, data) = (shop.folder + "/out", try pairs(shop, count: 4))
    #expect(try Program.run(arguments(shop, data, out)).code == 0)
    let frozen = try bytes(out + "/pairs.jsonl")
    let more = ["--resume", "--memory", "1GiB", "--checkpoint-minutes", "3"]
    let resumed = try Program.run(arguments(shop, data, out) + more)
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(try bytes(out + "/pairs.jsonl") == frozen)
    for (option, value) in [("weight-decay", "0.1"), ("backward", "f32")] {
      let other = try Program.run(arguments(shop, data, out) + ["--resume", "--\(option)", value])
      #expect(other.code == 65)
      #expect(other.errors.contains(option), "\(other.errors)")
    }
  }

  @Test func helpShowsDefaults() throws {
    let help = try Program.run(["train", "--help"]).output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(help.contains("The loss: inpo, ipo,") && help.contains("(default: inpo)"), "\(help)")
    #expect(help.contains("(default: 0.005)"))
  }

  // MARK: inpo

  @Test func settingsMustMakeSense() throws {
    let shop = try Workshop()
    func run(_ options: [String]) throws -> Program.Result {
      try Program.run(["inpo", "--config", try runFile(shop), "--out", shop.folder + "/run"] + options)
    }
    for settings in [["beta=0.2"], ["tau=0.001", "ratio=0.5"], ["tau=0.001", "eta=0.0005"], ["loss=dpo", "eta=1"]] {
      let result = try run(settings.flatMap { ["--set", $0] })
      #expect(result.code == 64, "\(settings): \(result.errors)")
    }
    #expect(try run(["--quiet", "--verbose"]).code == 64)
    let bad = try shop.file(
      "bad.jsonl", "{\"prompt\":\"a\"}\n\n{\"prompt\":\"\(String(repeating: "x", count: 300))\"}\n")
    let result = try run(["--set", "evaluate-prompts=\(bad)"])
    #expect(result.code == 65)
    #expect(result.errors.contains("ine 3") && result.errors.contains(bad), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: shop.folder + "/run"))
    #expect(try run(["--set", "targets=attn_x"]).code == 65)
    #expect(!FileManager.default.fileExists(atPath: shop.folder + "/run"))
  }

  private func runFile(_ shop: Workshop, _ more: String = "") throws -> String {
    let prompts = (0..<8).map { #"{"prompt":"Tell me about \#($0)."}"# }.joined(separator: "\n")
    return try shop.file(
      "run.yaml",
      """
      model: \(shop.model)
      prompts: \(try shop.file("train.jsonl", prompts))
      evaluate-prompts: \(try shop.prompts())
      rounds: 2
      samples: 4
      max-new-tokens: 10
      batch: 2
      epochs: 2
      rank: 4
      lr: 1e-3
      \(more)
      """)
  }

  @Test func inpoRunsItsRoundsAndReports() throws {
    let shop = try Workshop()
    let out = shop.folder + "/run"
    let arguments = ["inpo", "--config", try runFile(shop), "--set", "pairs=soft", "--out", out]
    let result = try Program.run(arguments)
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.contains("win rate against base under rule:concise"))
    #expect(result.output.contains("parley chat \(shop.model) --adapter \(out)/adapter.gguf"))
    let report = try #require(
      JSONSerialization.jsonObject(with: bytes(out + "/report.json")) as? [String: Any])
    let rounds = try #require(report["rounds"] as? [[String: Any]])
    #expect(rounds.count == 2)
    for round in rounds {
      #expect(round["pairs"] as? Int == 4)
      #expect(round["win_rate"] as? Double != nil && round["kl"] as? Double != nil)
    }
    #expect(try bytes(out + "/adapter.gguf") == bytes(out + "/round-2/adapter.gguf"))
    #expect(try bytes(out + "/round-1/adapter.gguf") != bytes(out + "/round-2/adapter.gguf"))

    let refused = try Program.run(arguments)
    #expect(refused.code == 64)
    #expect(refused.errors.contains("--resume"))
    let adapter = try bytes(out + "/adapter.gguf")
    #expect(try Program.run(arguments + ["--resume"]).code == 0)
    #expect(try bytes(out + "/adapter.gguf") == adapter)
    let alone = try Program.run(["inpo", "--out", out, "--resume", "--verbose"])
    #expect(alone.code == 0, "the folder knows its settings: \(alone.errors)")
    #expect(alone.errors.contains("kernels"), "\(alone.errors)")
    #expect(alone.output == result.output)
  }

  @Test func aKilledInpoRunEndsWithTheSameAdapter() throws {
    let shop = try Workshop()
    let (whole, stopped) = (shop.folder + "/whole", shop.folder + "/stopped")
    let file = try runFile(shop, "pairs: soft\ncheckpoint-steps: 1")
    #expect(try Program.run(["inpo", "--config", file, "--out", whole, "--quiet"]).code == 0)
    let running = try Program.launch(["inpo", "--config", file, "--out", stopped, "--quiet"])
    let second = stopped + "/round-2/metrics.jsonl"
    while running.process.isRunning, !FileManager.default.fileExists(atPath: second) { usleep(1000) }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.end()
    #expect(!FileManager.default.fileExists(atPath: stopped + "/report.json"), "it was stopped before its end")
    #expect(try Program.run(["inpo", "--config", file, "--out", stopped, "--resume", "--quiet"]).code == 0)
    #expect(try bytes(stopped + "/adapter.gguf") == bytes(whole + "/adapter.gguf"))
  }

  @Test func aWrongRunFileIsNamedWithItsLine() throws {
    let shop = try Workshop()
    let file = try runFile(shop, "epoch: 3")
    let result = try Program.run(["inpo", "--config", file, "--out", shop.folder + "/run"])
    #expect(result.code == 65)
    #expect(result.errors.contains("ine 11") && result.errors.contains("'epochs'"), "\(result.errors)")
    let option = try Program.run([
      "inpo", "--config", try runFile(shop), "--set", "learning-rat=1", "--out", shop.folder + "/run",
    ])
    #expect(option.code == 64)
  }
}
