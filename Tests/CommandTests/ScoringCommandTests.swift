import Foundation
import TestSupport
import Testing

/// `score`, `perplexity` and `evaluate-choices` as a user runs them.
struct ScoringCommandTests {
  private func run(_ arguments: [String], code: Int32 = 0) throws -> Program.Result {
    let result = try Program.run(arguments)
    #expect(result.code == code, "\(arguments): \(result.errors)")
    return result
  }

  private static let pair = #"{"prompt":"x","chosen":"yes","rejected":"no!"}"# + "\n"

  @Test func severalAdaptersGiveWhatEachGivesAlone() throws {
    let shop = try Workshop()
    let data = try shop.file("pairs.jsonl", Self.pair)
    let score = ["score", shop.model, "--data", data, "--quiet"]
    let named = ["--adapter", "full=\(shop.adapter)", "--adapter", "half=\(shop.adapter):0.5"]
    let together = try #require(try run(score + named + ["--reference", "base"]).objects().first)
    let policies = try #require(together["policies"] as? [String: [String: Double]])
    #expect(Set(policies.keys) == ["base", "full", "half"])
    for (name, adapter) in [("full", shop.adapter), ("half", shop.adapter + "=0.5")] {
      let alone = try #require(try run(score + ["--adapter", adapter, "--reference", "base"]).objects().first)
      for field in ["chosen_logps", "rejected_logps", "ratio"] {
        #expect(policies[name]?[field] == alone[field] as? Double, "\(name) \(field)")
      }
      #expect(policies["base"]?["chosen_logps"] == alone["reference_chosen_logps"] as? Double)
      #expect(policies[name]?["ratio"] != 0)
    }
    #expect(policies["base"]?["ratio"] == nil)
    let byName = try #require(try run(score + named + ["--reference", "half"]).objects().first)
    let others = try #require(byName["policies"] as? [String: [String: Double]])
    #expect(Set(others.keys) == ["full", "half"] && others["half"]?["ratio"] == nil && others["full"]?["ratio"] != nil)
  }

  @Test func policiesThatCannotBeToldApartAre64() throws {
    let shop = try Workshop()
    let score = ["score", shop.model, "--data", try shop.file("pairs.jsonl", Self.pair)]
    for adapters in [
      [shop.adapter, shop.adapter], ["a=\(shop.adapter)", "a=\(shop.adapter)"], ["base=\(shop.adapter)"],
    ] {
      let result = try run(score + adapters.flatMap { ["--adapter", $0] }, code: 64)
      #expect(result.errors.contains("--adapter"))
    }
    #expect(try run(["score", shop.model], code: 64).errors.contains("--text"))
    _ = try run(score + ["--adapter", "a=\(shop.folder)/none.gguf"], code: 66)
  }

  @Test func badRecordsAreSkippedAndCounted() throws {
    let shop = try Workshop()
    let good = #"{"prompt":"x","response":"yes"}"#
    let data = try shop.file(
      "mixed.jsonl", "{\n\(good)\n\n{\"prompt\":5}\n{\"prompt_ids\":[5],\"response_ids\":[4711]}\n\(Self.pair)")
    _ = try run(["score", shop.model, "--data", data], code: 65)
    let result = try run(["score", shop.model, "--data", data, "--skip-bad"])
    #expect(result.errors.contains("2 records scored, 3 left out.") && result.errors.contains("4711"))
    let alone = try shop.file("good.jsonl", good + "\n" + Self.pair)
    #expect(try result.output == run(["score", shop.model, "--data", alone]).output)
    let skipped = shop.folder + "/skipped.jsonl"
    _ = try run(["score", shop.model, "--data", data, "--skip-bad", "--skipped", skipped, "--quiet"])
    let lines = try Program.text(skipped).split(separator: "\n")
    #expect(lines.count == 3 && lines[0].contains("\"line\":1") && lines[2].contains("\"line\":5"))
    let bad = try shop.file("bad.jsonl", "{\n")
    _ = try run(["score", shop.model, "--data", bad, "--skip-bad"], code: 65)
  }

  @Test func memoryThreadsAndOrderChangeNothing() throws {
    let shop = try Workshop()
    let lines = (1..<12).map {
      #"{"prompt":"\#($0)","responses":[{"text":"\#(String(repeating: "a b", count: 3 * $0))"},{"text":"c"}]}"#
    }
    let score = ["score", shop.model, "--quiet", "--entropy", "--top", "3", "--data"]
    let data = try shop.file("lines.jsonl", lines.joined(separator: "\n"))
    let output = try run(score + [data]).output
    #expect(try run(score + [data, "--memory", "2MiB", "--threads", "1"]).output == output)
    let reversed = try shop.file("reversed.jsonl", lines.reversed().joined(separator: "\n"))
    #expect(try run(score + [reversed]).output.split(separator: "\n").reversed() == output.split(separator: "\n"))
  }

  @Test func whatMemoryCannotHoldIsNamed() throws {
    let shop = try Workshop()
    let long = #"{"prompt":"x","response":"\#(String(repeating: "y", count: 200))"}"# + "\n"
    let data = try shop.file("long.jsonl", long + #"{"prompt":"x","response":"y"}"#)
    let score = ["score", shop.model, "--data", data, "--memory"]
    let refused = try run(score + ["1KiB"], code: 65)
    #expect(refused.errors.contains("ine 1") && refused.errors.contains("--memory"), "\(refused.errors)")
    // Rows of 64 take 640 KiB of the tiny model, a page 32.
    let memory = try #require(
      (1...40).first { (try? Program.run(score + ["\(64 * $0)KiB", "--skip-bad"]))?.code == 0 })
    let some = try run(score + ["\(64 * memory)KiB", "--skip-bad"])
    #expect(some.errors.contains("1 records scored, 1 left out."), "\(some.errors)")
    #expect(try run(score + ["1GiB"]).output.hasSuffix(some.output))
  }

  /// A real model: what is held beside it and the program stays within the budget, and more is used when there is more.
  @Test func scoringStaysWithinItsMemory() throws {
    let model = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "weights/SmolLM2-135M-Instruct.Q4_1.gguf").path
    try #require(FileManager.default.fileExists(atPath: model), "\(model) is missing: run `make weights`.")
    let shop = try Workshop()
    let lines = (0..<40).map { line in
      let words = (0..<100).map { "word\(($0 * 7 + line) % 50)" }.joined(separator: " ")
      return #"{"prompt":"\#(words)","chosen":"\#(String(words.reversed()))","rejected":"No, \#(words)"}"#
    }
    let score = ["score", model, "--data", try shop.file("pairs.jsonl", lines.joined(separator: "\n")), "--verbose"]
    func held(_ memory: String) throws -> (mebibytes: Double, output: String) {
      let result = try run(score + ["--memory", memory])
      let line = try #require(result.errors.split(separator: "\n").first { $0.hasPrefix("Scoring held at most") })
      return (try #require(line.split(separator: " ").compactMap { Double($0) }.first), result.output)
    }
    let (little, much) = (try held("160MiB"), try held("2GiB"))
    #expect(little.output == much.output)
    // The mapped file is 94 MiB; the program with its tables of tokens and threads takes about 35.
    #expect(little.mebibytes <= 160 + 94 + 48)
    #expect(much.mebibytes > little.mebibytes + 50)
  }

  @Test func aTextIsScoredAsAWhole() throws {
    let shop = try Workshop()
    let result = try #require(try run(["score", shop.model, "--text", "abc", "--per-token"]).objects().first)
    let logps = try #require(result["token_logps"] as? [Any])
    #expect(logps.count == 3 && logps[0] is NSNull)
    let sum = try #require(result["logp"] as? Double)
    let text = try shop.file("text.txt", "abc")
    let perplexity = try #require(
      try run(["perplexity", shop.model, "--text", text, "--json", "--quiet"]).objects().first)
    #expect(perplexity["mean_logp"] as? Double == sum / 2 && perplexity["tokens"] as? Int == 2)
  }

  @Test func perplexityComparesWithWhatWasSaved() throws {
    let shop = try Workshop()
    let text = try shop.file("text.txt", String(repeating: "Some words, and more of them. ", count: 12))
    let measure = ["perplexity", shop.model, "--text", text, "--json", "--quiet", "--ctx", "64"]
    let saved = shop.folder + "/reference.bin"
    let first = try run(measure + ["--save-reference", saved]).output
    #expect(try run(measure + ["--threads", "1"]).output == first)
    let same = try #require(
      try run(measure + ["--reference", saved]).objects().first?["divergence"] as? [String: Double])
    #expect(same["kl_mean"] == 0 && same["top_agreement"] == 1)
    let tuned = try run(measure + ["--reference", saved, "--adapter", shop.adapter])
    let far = try #require(tuned.objects().first?["divergence"] as? [String: Double])
    #expect(try #require(far["kl_mean"]) > 0 && #require(far["kl_max"]) >= #require(far["kl_p99"]))
    #expect(try run(measure + ["--reference", saved, "--stride", "8"], code: 65).errors.contains("--stride 32"))
    _ = try run(measure + ["--stride", "64"], code: 64)
  }

  @Test func choicesGetAccuracies() throws {
    let shop = try Workshop()
    let data = try shop.file(
      "choices.jsonl",
      #"{"context":"One ","choices":["two","three"],"answer":0}"# + "\n"
        + #"{"context":"a","choices":["b"],"answer":0}"#)
    let out = shop.folder + "/out.jsonl"
    let choices = ["evaluate-choices", shop.model, "--data", data]
    let found = try #require(try run(choices + ["--json", "--out", out]).objects().first)
    #expect(found["records"] as? Int == 2 && (found["acc"] as? Double ?? 0) >= 0.5)
    #expect(Set(found.keys).isSuperset(of: ["acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "acc_bytes"]))
    #expect(try Program.text(out).split(separator: "\n").count == 2)
    #expect(try run(choices).output.contains("acc_norm"))
  }
}
