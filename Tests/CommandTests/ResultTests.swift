import Adapters
import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

/// What commands print: JSON that can be read, the same bits for the same question.
struct ResultTests {
  private func run(_ arguments: [String], input: String = "", _ environment: [String: String] = [:]) throws
    -> Program.Result
  {
    let result = try Program.run(arguments, input: input, environment: environment)
    #expect(result.code == 0, "\(arguments): \(result.errors)")
    return result
  }

  private func generate(_ shop: Workshop, _ more: [String], _ environment: [String: String] = [:]) throws -> String {
    try run(
      ["generate", shop.model, "--prompts", try shop.prompts(), "--max-tokens", "12", "--seed", "4", "--quiet"]
        + more,
      environment
    ).output
  }

  // MARK: generate and score

  @Test func keysAndValuesAreKeptAsAsked() throws {
    let shop = try Workshop()
    let sampled = shop.folder + "/sampled.jsonl"
    _ = try generate(shop, ["--kv", "f16", "--out", sampled])
    let records = try Program.Result(code: 0, output: Program.text(sampled), errors: "").objects()
    let responses = try records.map { try #require($0["responses"] as? [[String: Any]])[0] }
    func score(_ kv: String) throws -> [[Double]] {
      try run(["score", shop.model, "--data", sampled, "--per-token", "--kv", kv, "--quiet"]).objects().map {
        let scores = try #require($0["scores"] as? [[String: Any]])
        return try #require(scores[0]["token_logps"] as? [Double])
      }
    }
    let rounded = try score("f16")
    #expect(try responses.map { try #require($0["logps"] as? [Double]) } == rounded)
    #expect(try score("f32") != rounded)
  }

  @Test func generateThenScoreGivesTheSameBits() throws {
    let shop = try Workshop()
    for adapter in [[], ["--adapter", shop.adapter + "=0.5"]] {
      let sampled = shop.folder + "/sampled.jsonl"
      _ = try generate(shop, ["-n", "3", "--temperature", "0.8", "--out", sampled] + adapter)
      let scored = try run(
        ["score", shop.model, "--data", sampled, "--per-token", "--reference", "base", "--quiet"] + adapter
      ).objects()
      #expect(scored.map { $0["id"] as? String } == ["p1", "p2", "p3"], "records keep their order")
      #expect(scored[1]["topic"] as? String == "numbers", "unknown fields are kept")
      for record in scored {
        let responses = try #require(record["responses"] as? [[String: Any]])
        let scores = try #require(record["scores"] as? [[String: Any]])
        #expect(responses.count == 3 && scores.count == 3)
        for (response, score) in zip(responses, scores) {
          #expect(response["logps"] as? [Double] == score["token_logps"] as? [Double])
          #expect(response["logp"] as? Double == score["logp"] as? Double)
          #expect(response["token_ids"] as? [Int] == score["token_ids"] as? [Int])
          let ratio = try #require(score["ratio"] as? Double)
          #expect((ratio == 0) == adapter.isEmpty, "base against base is 0, the adapter is not")
        }
      }
    }
  }

  @Test func theSameSeedGivesTheSameAnswers() throws {
    let shop = try Workshop()
    let first = try generate(shop, ["-n", "4"])
    #expect(try generate(shop, ["-n", "4"]) == first)
    #expect(try generate(shop, ["-n", "4", "--seed", "5"]) != first)
  }

  @Test func threadsAndTablesChangeNothing() throws {
    let shop = try Workshop()
    let one = try generate(shop, ["-n", "2", "--threads", "1"])
    #expect(try generate(shop, ["-n", "2", "--threads", "2"]) == one)
    #expect(try generate(shop, ["-n", "2"], ["PARLEY_ISA": "scalar"]) == one)
  }

  @Test func theFirstTwoOfFourAreTheTwo() throws {
    let shop = try Workshop()
    func tokens(_ count: String) throws -> [[[Int]]] {
      try Program.Result(code: 0, output: generate(shop, ["-n", count]), errors: "").objects().map {
        try #require($0["responses"] as? [[String: Any]]).map { $0["token_ids"] as? [Int] ?? [] }
      }
    }
    #expect(try tokens("4").map { Array($0.prefix(2)) } == tokens("2"))
  }

  @Test func scoresDoNotDependOnTheOtherLines() throws {
    let shop = try Workshop()
    let lines = [
      #"{"prompt":"one","response":"yes"}"#, #"{"prompt":"two","chosen":"a longer answer","rejected":"no"}"#,
      #"{"prompt_ids":[70,71,72],"response_ids":[73,74]}"#,
    ]
    func score(_ lines: [String]) throws -> [String] {
      let data = try shop.file("data.jsonl", lines.joined(separator: "\n"))
      return try run([
        "score", shop.model, "--data", data, "--adapter", shop.adapter, "--reference", "base", "--quiet",
      ])
      .output.split(separator: "\n").map(String.init)
    }
    let together = try score(lines)
    #expect(together.count == 3)
    #expect(try score(lines.reversed()) == together.reversed())
    for (line, result) in zip(lines, together) { #expect(try score([line]) == [result]) }
  }

  @Test func aFileGetsWhatStandardOutputWould() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out.jsonl"
    #expect(try generate(shop, ["--out", out]).isEmpty)
    #expect(try Program.text(out) == generate(shop, []))
  }

  // MARK: The others

  @Test(arguments: [
    "inspect", "tokenize", "chat", "generate", "score", "perplexity", "judge", "train", "inpo", "evaluate",
    "evaluate-choices", "export", "verify", "bench", "game",
  ])
  func everyCommandExplainsItself(command: String) throws {
    for arguments in [[command, "--help"], ["help", command]] {
      let result = try Program.run(arguments)
      #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
      #expect(result.output.contains("USAGE: parley \(command)"))
    }
    #expect(try Program.run(["--help"]).output.contains("  \(command)"))
  }

  @Test func inspectTellsTheShape() throws {
    let shop = try Workshop()
    let facts = try #require(try run(["inspect", shop.model, "--json", "--tensors", "--cpu"]).objects().first)
    #expect(facts["architecture"] as? String == "llama")
    #expect(facts["blocks"] as? Int == 2)
    #expect(facts["context"] as? Int == 256)
    #expect(facts["chat_template"] as? Bool == true)
    let tensors = try #require(facts["tensors"] as? [[String: Any]])
    let formats = try #require(facts["formats"] as? [[String: Any]])
    #expect(formats.reduce(0) { $0 + ($1["tensors"] as? Int ?? 0) } == tensors.count)
    let size = try #require(try FileManager.default.attributesOfItem(atPath: shop.model)[.size] as? Int)
    let bytes = tensors.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) }
    #expect(bytes > size / 2 && bytes < size)
    let cpu = try #require(facts["cpu"] as? [String: Any])
    #expect((cpu["available"] as? [String])?.last == "scalar")
    let grid = try #require(cpu["grid"] as? [[String: String]])
    #expect(grid.map { $0["format"] } == WeightFormat.allCases.map(\.name))
    let kernels = try #require(cpu["kernels"] as? String)
    for row in grid { #expect(row["f32"] == kernels && row["int8"]?.hasPrefix(kernels) == true) }
    #expect(try run(["inspect", shop.model, "--cpu"]).output.contains("weights               int16"))
    #expect(try run(["inspect", shop.model]).output.contains("Q8_0"))
  }

  @Test func inspectCountsTheMemoryOfABlock() throws {
    func train(_ layers: Int) throws -> Int {
      let shop = try Workshop { $0.layers = layers }
      let facts = try #require(try run(["inspect", shop.model, "--json"]).objects().first)
      return try #require(lengths(facts).first?["train"])
    }
    // Seven layers of rank 16, of 64, 64, 64, 64, 64, 64, 128 inputs and 64, 32, 32, 64, 128, 128, 64 outputs: six copies
    // of A and five of B. For each of 128 + 2 · 127 rows the block's input and the seven inner products. Four bytes each.
    let (ofAdapter, perRow) = (16 * (6 * 512 + 5 * 512), 64 + 7 * 16)
    #expect(try train(3) - train(2) == 4 * (ofAdapter + 382 * perRow))
  }

  private func lengths(_ facts: [String: Any]) throws -> [[String: Int]] {
    try #require((facts["memory"] as? [String: Any])?["lengths"] as? [[String: Int]])
  }

  @Test func inspectCountsTheMemoryOfKeysAndValues() throws {
    let shop = try Workshop()
    func memory(_ kv: String) throws -> [String: Int] {
      let command = ["inspect", shop.model, "--json", "--kv", kv, "--lengths", "256"]
      let facts = try #require(try run(command).objects().first)
      return try #require(lengths(facts).first)
    }
    let (whole, half) = (try memory("f32"), try memory("f16"))
    // Two bytes less for each key and value of 32: of 256 positions in each block; in training of the two pages of the prompt and
    // two of each answer, in one block at a time.
    let blocks = try #require(try run(["inspect", shop.model, "--json"]).objects().first?["blocks"] as? Int)
    for (use, positions) in [("generate", blocks * 256), ("score", blocks * 256), ("train", 6 * 64)] {
      #expect(try #require(whole[use]) - #require(half[use]) == 2 * 32 * 2 * positions, "\(use)")
    }
  }

  @Test func inspectCountsTheLengthsAskedFor() throws {
    let shop = try Workshop()
    let facts = try #require(try run(["inspect", shop.model, "--json", "--lengths", "64,65,256"]).objects().first)
    let all = try lengths(facts)
    #expect(all.map { $0["tokens"] } == [64, 65, 256])
    // One page more, of keys and values of 32 floats in two blocks.
    let (less, more) = (try #require(all[0]["generate"]), try #require(all[1]["generate"]))
    #expect(more - less == 2 * 2 * 32 * 64 * 4)
    for wrong in ["0", "64,257", "64,", "many"] {
      #expect(try Program.run(["inspect", shop.model, "--lengths", wrong]).code == 64, "\(wrong)")
    }
  }

  @Test func inspectIsReadable() throws {
    let shop = try Workshop { $0.architecture = "qwen2" }
    let text = try run(["inspect", shop.model, "--tensors", "--cpu"]).output
    for group in ["File\n", "Model\n", "Text\n", "Memory beside ", "Processor\n", "Tensors\n"] {
      #expect(text.contains(group))
    }
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines.contains("  architecture    qwen2"))
    #expect(lines.contains("  chat template   yes"))
    #expect(lines.contains { $0.contains("Q4_0") && $0.contains(" %  █") })
    #expect(lines.contains { $0.contains("blk.1.ffn_down.weight") && $0.contains("[128, 64]") })
    #expect(lines.allSatisfy { !$0.hasSuffix(" ") })
  }

  /// In another folder, so that the parts are found by the path.
  @Test func aSplitModelIsOneModel() throws {
    let shop = try Workshop()
    let whole = try GGUFFile.open(shop.model)
    let folder = try temporaryFolder()
    let cut = whole.tensors.count / 2
    for (number, tensors) in [whole.tensors.prefix(cut), whole.tensors.dropFirst(cut)].enumerated() {
      var writer = GGUFWriter()
      if number == 0 {
        for key in whole.metadata.keys { try writer.set(key, #require(whole.metadata[key])) }
      }
      writer.set("split.no", .uint16(UInt16(number)))
      writer.set("split.count", .uint16(2))
      writer.set("split.tensors.count", .int32(Int32(whole.tensors.count)))
      for tensor in tensors {
        try writer.add(
          name: tensor.name, dimensions: tensor.dimensions, format: #require(tensor.format),
          bytes: Array(whole.bytes(of: tensor)))
      }
      try writer.write(to: folder + "/m-0000\(number + 1)-of-00002.gguf")
    }
    let arguments = ["--prompt", "Say it.", "--max-tokens", "8", "--seed", "3"]
    let want = try run(["generate", shop.model] + arguments).output
    for number in 1...2 {
      #expect(try run(["generate", folder + "/m-0000\(number)-of-00002.gguf"] + arguments).output == want)
    }
    let path = folder + "/m-00002-of-00002.gguf"
    try FileManager.default.removeItem(atPath: path)
    let result = try Program.run(["generate", folder + "/m-00001-of-00002.gguf"] + arguments)
    #expect(result.code == 66 && result.errors.contains("Part 2 of 2") && result.errors.contains(path))
  }

  @Test func tokenizeShowsIdsAndPieces() throws {
    let shop = try Workshop()
    let result = try #require(try run(["tokenize", shop.model, "--text", "ab", "--json"]).objects().first)
    let ids = try #require(result["ids"] as? [Int])
    #expect(result["pieces"] as? [String] == ["a", "b"])
    let plain = try run(["tokenize", shop.model, "--text", "ab", "--ids"]).output
    #expect(plain == ids.map(String.init).joined(separator: " ") + "\n")
    let special = ["tokenize", shop.model, "--text", "<|im_end|>", "--ids"]
    #expect(try run(special + ["--parse-special"]).output == "2\n")
    #expect(try run(special).output != "2\n")
  }

  @Test func judgeMakesPairsAndCountsThem() throws {
    let shop = try Workshop()
    let long = Array(repeating: "many different words in a long row", count: 12).joined(separator: " and ")
    let data = try shop.file(
      "responses.jsonl",
      """
      {"prompt":"a","responses":[{"text":"\(long)","token_ids":[5],"finish":"length"},{"text":"A short one that ends.","token_ids":[6],"finish":"stop"}]}
      {"prompt":"b","responses":[{"text":"Just the same thing here.","finish":"stop"},{"text":"Just the same thing here.","finish":"stop"}]}
      {"prompt":"c","responses":[{"text":"Alone.","finish":"stop"}]}
      """)
    let result = try run(["judge", "--oracle", "rule:concise", "--data", data])
    let pairs = try result.objects()
    #expect(pairs.count == 1)
    #expect(pairs.first?["chosen_ids"] as? [Int] == [6])
    #expect(pairs.first?["rejected_ids"] as? [Int] == [5])
    #expect(result.errors.contains("1 pairs from 3 prompts"))
    let soft = ["judge", "--oracle", "rule:concise", "--data", data, "--pairs", "soft", "--quiet"]
    let labels = try run(soft).objects().map { $0["probability"] as? Double }
    #expect(labels.count == 2 && labels[1] == 0.5)
    #expect(try run(soft).output == run(soft).output)
  }

  @Test func chatAnswersFromAPipe() throws {
    let shop = try Workshop()
    let chat = ["chat", shop.model, "--max-tokens", "8", "--seed", "2", "--quiet", "--system", "Be brief."]
    let both = try run(chat, input: "Hello there\nAnd now?\n/quit\nnever read\n").output
    let first = try run(chat, input: "Hello there\n").output
    #expect(both.hasPrefix(first), "a turn does not depend on what comes later")
    #expect(both.count > first.count)
    #expect(!both.contains("> "))
  }

  @Test func evaluateOfTheBaseAgainstItselfIsATie() throws {
    let shop = try Workshop()
    let arguments = [
      "evaluate", shop.model, "--prompts", try shop.prompts(), "--oracle", "rule:concise", "--json", "--max-tokens",
      "12",
      "--quiet", "--adapter",
    ]
    let same = try #require(try run(arguments + [shop.adapter + "=0"]).objects().first)
    #expect(same["win_rate"] as? Double == 0.5)
    #expect(same["kl"] as? Double == 0)
    #expect(same["mean_tokens"] as? Double == same["reference_mean_tokens"] as? Double)
    let other = try #require(try run(arguments + [shop.adapter]).objects().first)
    #expect(other["kl"] as? Double != 0)
    #expect(other["prompts"] as? Int == 3)

    // Over samples of another distribution than the policy's there is no KL.
    let colder = try run(arguments.filter { $0 != "--quiet" } + [shop.adapter, "--temperature", "0.7"])
    #expect(try #require(colder.objects().first)["kl"] == nil)
    #expect(colder.errors.contains("No KL"))
  }

  @Test func exportWritesTheAdapterBothWays() throws {
    let shop = try Workshop()
    let (gguf, peft) = (shop.folder + "/copy.gguf", shop.folder + "/peft")
    _ = try run(["export", shop.adapter, "--model", shop.model, "--to", "gguf", "--out", gguf])
    #expect(try LoRAAdapter.read(gguf: gguf).canonicalBytes == LoRAAdapter.read(gguf: shop.adapter).canonicalBytes)
    _ = try run(["export", shop.adapter, "--model", shop.model, "--to", "peft", "--out", peft])
    #expect(
      try Set(FileManager.default.contentsOfDirectory(atPath: peft)).isSuperset(of: [
        "adapter_config.json", "adapter_model.safetensors",
      ]))
  }

  /// The golden case of the tabular game: π_2, π_3 and their gaps.
  @Test func gamePlaysTheGoldenCase() throws {
    let shop = try Workshop()
    let table = try shop.file(
      "game.json", #"{"matrix":[[0.5,0.8,0.3],[0.2,0.5,0.9],[0.7,0.1,0.5]],"reference":[0.5,0.3,0.2]}"#)
    let rounds = try run(["game", "--matrix", table, "--eta", "0.5", "--tau", "0.1", "--rounds", "3", "--json"])
      .objects()
    let policies = rounds.compactMap { $0["policy"] as? [Double] }
    let gaps = rounds.compactMap { $0["dual_gap"] as? Double }
    // Nine decimals were written down.
    func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 1e-9 }
    let second = [0.549535090, 0.259367767, 0.191097142]
    let third = [0.582132595, 0.223150734, 0.194716671]
    let found = try #require(policies.firstIndex { zip($0, second).allSatisfy(near) })
    #expect(zip(policies[found + 1], third).allSatisfy(near))
    #expect(near(gaps[found], 0.016389445) && near(gaps[found + 1], 0.010918621))
  }
}
