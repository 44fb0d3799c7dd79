import Foundation
import Tensors
import TestSupport
import Testing

/// `generate` over a file of prompts: what is left out, what goes on after an interrupt, what memory and order change (nothing).
struct GenerateTests {
  private func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> Program.Result {
    let result = try Program.run(arguments, environment: environment)
    #expect(result.code == 0, "\(arguments): \(result.errors)")
    return result
  }

  private func expect(_ code: Int32, _ arguments: [String], says words: [String]) throws {
    let result = try Program.run(arguments)
    #expect(result.code == code && result.output.isEmpty, "\(arguments): \(result.errors)")
    for word in words { #expect(result.errors.contains(word), "\(word) is not in: \(result.errors)") }
  }

  /// Prompts of different lengths, one a line.
  private func prompts(_ shop: Workshop, _ count: Int, _ name: String = "many.jsonl") throws -> String {
    let lines = (0..<count).map {
      "{\"id\":\($0),\"prompt\":\"\(String(repeating: "tell me more, ", count: $0 % 7))\($0)\"}"
    }
    return try shop.file(name, lines.joined(separator: "\n"))
  }

  /// Everything that looks back, strikes by chance or follows what was drawn.
  private static let chain = [
    "--temperature", "0.9", "--repeat-penalty", "1.2", "--dry-multiplier", "0.8", "--xtc-probability", "0.5",
    "--xtc-threshold", "0.01", "--mirostat", "--mirostat-ent", "4", "--stop", "e",
  ]

  // MARK: Invariance

  @Test(arguments: [[], chain])
  func slotsMemoryAndThreadsChangeNothing(sampler: [String]) throws {
    let shop = try Workshop()
    let generate =
      ["generate", shop.model, "--prompts", try prompts(shop, 20), "-n", "3", "--max-tokens", "16", "--quiet"] + sampler
    let all = try run(generate).output
    #expect(try run(generate + ["--parallel", "1"]).output == all)
    #expect(try run(generate + ["--parallel", "7", "--threads", "1"]).output == all)
    #expect(try run(generate + ["--memory", "3MiB", "--threads", "2"]).output == all)
    #expect(try run(generate, ["PARLEY_ISA": "scalar"]).output == all)
  }

  @Test func whatTheChainDrewScoresToTheSameBits() throws {
    let shop = try Workshop()
    let sampled = shop.folder + "/sampled.jsonl"
    _ = try run(
      [
        "generate", shop.model, "--prompts", try shop.prompts(), "-n", "3", "--max-tokens", "16", "--out", sampled,
        "--quiet",
      ]
        + Self.chain)
    let scored = try run(["score", shop.model, "--data", sampled, "--per-token", "--quiet"]).objects()
    #expect(scored.count == 3)
    for record in scored {
      let responses = try #require(record["responses"] as? [[String: Any]])
      let scores = try #require(record["scores"] as? [[String: Any]])
      for (response, score) in zip(responses, scores) {
        #expect(response["logps"] as? [Double] == score["token_logps"] as? [Double])
        #expect(response["behaviour_logps"] as? [Double] != score["token_logps"] as? [Double])
        #expect((response["text"] as? String)?.contains("e") == false)
      }
    }
  }

  // MARK: Resuming

  @Test(arguments: [SIGINT, SIGKILL])
  func whatWasInterruptedGoesOn(signal: Int32) throws {
    let shop = try Workshop()
    let (out, whole) = (shop.folder + "/out.jsonl", shop.folder + "/whole.jsonl")
    let generate = [
      "generate", shop.model, "--prompts", try prompts(shop, 600), "-n", "2", "--max-tokens", "50", "--parallel", "8",
      "--quiet",
    ]
    _ = try run(generate + ["--out", whole])
    let running = try Program.launch(generate + ["--out", out])
    let part = out + ".part"
    while running.process.isRunning, (try? Program.text(part).isEmpty) ?? true { usleep(1000) }
    kill(running.process.processIdentifier, signal)
    let stopped = try running.end()
    if signal == SIGINT { #expect(stopped.code == 130 && stopped.errors.contains("--resume"), "\(stopped.errors)") }
    #expect(!FileManager.default.fileExists(atPath: out))
    // A line torn by the kill is dropped.
    let left = try Program.text(part)
    try Data((left + "{\"prompt\":\"torn").utf8).write(to: URL(fileURLWithPath: part))

    // Other settings, another adapter, other prompts: refused by name, and nothing is lost.
    try expect(64, generate + ["--out", out, "--resume", "--seed", "9"], says: ["--seed", part])
    try expect(64, generate + ["--out", out, "--resume", "--top-k", "9"], says: ["sampler"])
    try expect(64, generate + ["--out", out, "--resume", "--stop", "x"], says: ["end"])
    try expect(64, generate + ["--out", out, "--resume", "--adapter", shop.adapter], says: ["adapter"])
    try expect(64, generate + ["--out", out, "--resume", "--adapter", shop.adapter + "=2"], says: ["scale"])
    try expect(64, generate + ["--out", out, "--resume", "--kv", "f16"], says: ["--kv"])
    try expect(64, generate + ["--out", out, "--resume", "--raw"], says: ["ecord 1", "another prompt"])
    #expect(try Program.text(part).hasPrefix(left))

    let resumed = try run(generate + ["--out", out, "--resume"])
    #expect(resumed.output.isEmpty)
    #expect(try Program.text(out) == Program.text(whole))
    for name in [part, part + ".json"] { #expect(!FileManager.default.fileExists(atPath: name)) }
    try expect(64, generate + ["--out", out, "--resume"], says: ["nothing to resume", out])
  }

  @Test func resumingWithoutAPartStarts() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out.jsonl"
    let generate = ["generate", shop.model, "--prompts", try shop.prompts(), "--max-tokens", "4", "--quiet"]
    _ = try run(generate + ["--out", out, "--resume"])
    #expect(try Program.text(out) == run(generate).output)
    try expect(64, generate + ["--resume"], says: ["--out"])
  }

  // MARK: Prompts that cannot be used

  @Test func badPromptsAreLeftOutWhenAsked() throws {
    let shop = try Workshop()
    let long = String(repeating: "x", count: 300)
    let lines = [
      #"{"prompt":"one"}"#, #"{"prompt":""}"#, "{\"prompt\":\"\(long)\"}", "",
      #"{"prompt":[{"role":"user","content":"two"}]}"#, #"{"prompt":"three"}"#,
    ]
    let file = try shop.file("mixed.jsonl", lines.joined(separator: "\n"))
    let generate = ["generate", shop.model, "--raw", "--max-tokens", "8", "--prompts"]
    try expect(65, generate + [file], says: ["ine 2", "at least one prompt token"])
    let out = shop.folder + "/out.jsonl"
    let result = try run(generate + [file, "--skip-bad", "--out", out])
    for words in ["ine 2", "ine 3", "context", "ine 5", "template", "3 of 5 prompts"] {
      #expect(result.errors.contains(words), "\(words) is not in: \(result.errors)")
    }
    // The others are answered as they are among good ones.
    let good = lines.map { $0.contains("\"one\"") || $0.contains("\"three\"") ? $0 : #"{"prompt":"good"}"# }
    let among = try run(generate + [try shop.file("good.jsonl", good.joined(separator: "\n"))]).output
      .split(separator: "\n")
    // The empty line became a prompt of its own: the last stands one place further.
    #expect(try Program.text(out).split(separator: "\n").first == among.first)
    #expect(try Program.text(out).split(separator: "\n").count == 2)
    let bad = try shop.file("bad.jsonl", #"{"prompt":""}"# + "\n{\n")
    try expect(65, generate + [bad, "--skip-bad"], says: ["ine 1", "ine 2", "None of the 2"])
    try expect(65, generate + [bad], says: ["ine 2", "not valid JSON"])
  }

  @Test func whatMemoryCannotHoldIsNamed() throws {
    let shop = try Workshop()
    let generate = ["generate", shop.model, "--prompt", "x", "--max-tokens", "8"]
    try expect(65, generate + ["--memory", "1KiB"], says: ["--memory", "MiB"])
    try expect(64, generate + ["--memory", "much"], says: ["--memory"])
    try expect(64, generate + ["--parallel", "0"], says: ["--parallel"])
  }

  /// A real model: what is held beside it and the program stays within the budget, and more is used when there is more.
  @Test func samplingStaysWithinItsMemory() throws {
    let model = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "weights/SmolLM2-135M-Instruct.Q4_1.gguf").path
    try #require(FileManager.default.fileExists(atPath: model), "\(model) is missing: run `make weights`.")
    let shop = try Workshop()
    let generate = [
      "generate", model, "--prompts", try prompts(shop, 8), "-n", "8", "--max-tokens", "40", "--verbose", "--memory",
    ]
    func held(_ memory: String) throws -> (mebibytes: Double, output: String) {
      let result = try run(generate + [memory])
      let line = try #require(result.errors.split(separator: "\n").first { $0.hasPrefix("Sampling held at most") })
      let number = try #require(line.split(separator: " ").compactMap { Double($0) }.first)
      return (number, result.output)
    }
    let (little, much) = (try held("200MiB"), try held("4GiB"))
    #expect(little.output == much.output)
    // The mapped file is 94 MiB; the program with its tables of tokens and threads takes about 35.
    #expect(little.mebibytes <= 200 + 94 + 48)
    #expect(much.mebibytes > little.mebibytes + 50)
  }

  // MARK: Choices and ends

  @Test func choicesAreRankedAndDrawnByTheirScores() throws {
    let shop = try Workshop()
    let prompts = try shop.prompts()
    let generate = [
      "generate", shop.model, "--prompts", prompts, "-n", "40", "--quiet", "--choices", "yes", "no", "why?",
    ]
    let out = shop.folder + "/chosen.jsonl"
    _ = try run(generate + ["--out", out])
    #expect(try run(generate).output == Program.text(out))
    let records = try Program.Result(code: 0, output: Program.text(out), errors: "").objects()
    let scored = try run(["score", shop.model, "--data", out, "--per-token", "--quiet"]).objects()
    let best = try run(generate + ["--temperature", "0"]).objects()
    for (record, (scored, best)) in zip(records, zip(scored, best)) {
      let choices = try #require(record["choices"] as? [[String: Any]])
      let (logps, shares) = (
        choices.compactMap { $0["logp"] as? Double }, choices.compactMap { $0["probability"] as? Double }
      )
      #expect(logps.count == 3 && logps == logps.sorted(by: >))
      let total = logps.reduce(0) { $0 + exp($1 - logps[0]) }
      expectClose(shares, logps.map { exp($0 - logps[0]) / total }, relative: 1e-12)
      let responses = try #require(record["responses"] as? [[String: Any]])
      for (response, score) in zip(responses, try #require(scored["scores"] as? [[String: Any]])) {
        let place = try #require(choices.firstIndex { $0["text"] as? String == response["text"] as? String })
        #expect(response["logp"] as? Double == logps[place] && score["logp"] as? Double == logps[place])
        expectClose(try #require(response["behaviour_logp"] as? Double), log(shares[place]), absolute: 1e-12)
      }
      let answers = try #require(best["responses"] as? [[String: Any]])
      #expect(answers.allSatisfy { $0["text"] as? String == choices[0]["text"] as? String })
    }
    try expect(64, generate + ["--top-k", "3"], says: ["--choices"])
  }

  @Test func endsAreAsAsked() throws {
    let shop = try Workshop()
    func answers(_ more: [String]) throws -> [[String: Any]] {
      try run(
        ["generate", shop.model, "--prompt", "x", "-n", "64", "--max-tokens", "60", "--quiet", "--json"] + more
      ).objects()[0]["responses"] as? [[String: Any]] ?? []
    }
    func ids(_ answer: [String: Any]) -> [Int] { answer["token_ids"] as? [Int] ?? [] }
    let usual = try answers([])
    #expect(usual.contains { $0["finish"] as? String == "stop" && ids($0).last == 2 })
    let endless = try answers(["--ignore-eos"])
    #expect(endless.allSatisfy { ids($0).count == 60 && $0["finish"] as? String == "length" })
    #expect(zip(usual, endless).allSatisfy { ids($1).starts(with: ids($0)) })
    // By id and by text: bytes of the tiny model are tokens.
    for (token, id) in [("70", 70), ("<|im_start|>", 1)] {
      let ended = try answers(["--stop-token", token])
      #expect(ended.contains { ids($0).last == id && $0["finish"] as? String == "stop" })
      #expect(ended.allSatisfy { !ids($0).dropLast().contains(id) })
    }
    let banned = try answers(["--logit-bias", "2=-inf", "--logit-bias", "0=-inf"])
    #expect(banned.allSatisfy { !ids($0).contains(2) && !ids($0).contains(0) })
    let generate = ["generate", shop.model, "--prompt", "x"]
    try expect(64, generate + ["--stop-token", "two"], says: ["stop-token", "3 tokens"])
    try expect(64, generate + ["--stop-token", "4000"], says: ["4000", "259"])
    try expect(64, generate + ["--logit-bias", "4000=1"], says: ["4000", "259"])
    try expect(64, generate + ["--stop", ""], says: ["stop is an empty text"])
    try expect(64, generate + ["--samplers", "top_k;top_q"], says: ["top_q", "top_p"])
    try expect(64, generate + ["--samplers", "top_k", "--top-p", "0.5"], says: ["top_p", "order"])
    try expect(64, generate + ["--samplers", "top_k", "--hf-order"], says: ["hf-order"])
  }

  @Test func theOrderDecidesWhatIsCut() throws {
    let shop = try Workshop()
    let generate = [
      "generate", shop.model, "--prompts", try shop.prompts(), "-n", "8", "--max-tokens", "24", "--quiet",
      "--temperature",
      "3", "--top-p", "0.7",
    ]
    let llama = try run(generate).output
    #expect(try run(generate + ["--samplers", "top_p;temperature"]).output == llama)
    let hf = try run(generate + ["--hf-order"]).output
    #expect(hf != llama)
    #expect(try run(generate + ["--samplers", "temperature;top_p"]).output == hf)
  }
}
