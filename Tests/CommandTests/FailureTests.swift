import Foundation
import TestSupport
import Testing

/// Wrong input: one sentence that starts with the program's name, the right exit code, nothing on stdout.
struct FailureTests {
  private func expect(
    _ code: Int32, _ arguments: [String], says parts: [String], environment: [String: String] = [:],
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try Program.run(arguments, environment: environment)
    #expect(result.code == code, "\(result.errors)", sourceLocation: location)
    #expect(result.output.isEmpty, sourceLocation: location)
    for part in parts {
      #expect(result.errors.contains(part), "'\(part)' is not in: \(result.errors)", sourceLocation: location)
    }
    if code != 64 {
      #expect(result.errors.hasPrefix("parley: "), sourceLocation: location)
      #expect(result.errors.filter(\.isNewline).count == 1, "one line", sourceLocation: location)
    }
  }

  #if os(Linux)
    /// A file of /proc, which gives a page at a time and says that it has no bytes.
    private static func whole(_ path: String) throws -> String {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      var bytes = Data()
      while let more = try file.read(upToCount: 1 << 16), !more.isEmpty { bytes += more }
      return String(decoding: bytes, as: UTF8.self)
    }

    /// Opened, then cut to its first page while the program waits for a turn: the answer needs what is gone.
    @Test func aModelThatShrinksWhileItIsUsed() throws {
      let shop = try Workshop()
      let pipe = Pipe()
      let running = try Program.launch(["chat", shop.model], pipe: pipe)
      let maps = "/proc/\(running.process.processIdentifier)/maps"
      while running.process.isRunning, try !Self.whole(maps).contains(shop.model) { usleep(1000) }
      #expect(truncate(shop.model, 4096) == 0)
      try pipe.fileHandleForWriting.write(contentsOf: Data("hello\n".utf8))
      try pipe.fileHandleForWriting.close()
      let result = try running.end()
      #expect(result.code == 74 && result.output.isEmpty)
      #expect(result.errors.hasPrefix("parley: A file in use") && result.errors.filter(\.isNewline).count == 1)
    }
  #endif

  @Test func aMissingFileIs66() throws {
    let shop = try Workshop()
    let none = shop.folder + "/none"
    try expect(66, ["inspect", none], says: ["There is no file '\(none)'"])
    try expect(66, ["generate", shop.model, "--prompts", none], says: [none])
    try expect(66, ["score", shop.model, "--data", none], says: [none])
    try expect(66, ["generate", shop.model, "--prompt", "x", "--adapter", none], says: [none])
    try expect(66, ["judge", "--oracle", "file:\(none)", "--data", try shop.prompts()], says: [none])
  }

  @Test func aTruncatedModelIs65AndNamesTheTensor() throws {
    let shop = try Workshop()
    let bytes = try Data(contentsOf: URL(fileURLWithPath: shop.model))
    let short = shop.folder + "/short.gguf"
    try bytes.prefix(bytes.count - 100).write(to: URL(fileURLWithPath: short))
    try expect(65, ["generate", short, "--prompt", "x"], says: [short, "incomplete"])
  }

  @Test func aFileThatIsNoModelIs65() throws {
    let shop = try Workshop()
    let text = try shop.file("text.gguf", "This is not a model, only some text that goes on for a while.")
    try expect(65, ["inspect", text], says: [text, "not a GGUF file"])
  }

  @Test func aMissingTensorIs65AndNamed() throws {
    // Three blocks are announced, two are there.
    let shop = try Workshop()
    var writer = TinyModel().writer()
    writer.set("llama.block_count", .uint32(3))
    let path = shop.folder + "/short.gguf"
    try writer.write(to: path)
    try expect(65, ["inspect", path], says: ["blk.2."])
  }

  @Test func aBrokenLineIs65AndNamedByFileAndLine() throws {
    let shop = try Workshop()
    let broken = try shop.file("broken.jsonl", "{\"prompt\":\"a\"}\n\n{\"prompt\":\n")
    try expect(65, ["generate", shop.model, "--prompts", broken], says: [broken, "ine 3"])
    let wrong = try shop.file(
      "wrong.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":5,\"response\":\"b\"}\n")
    try expect(65, ["score", shop.model, "--data", wrong], says: [wrong, "ine 2"])
  }

  @Test func aFileWithoutRecordsIs65() throws {
    let shop = try Workshop()
    let empty = try shop.file("empty.jsonl", "\n \r\n")
    try expect(65, ["generate", shop.model, "--prompts", empty], says: [empty])
    try expect(65, ["score", shop.model, "--data", empty], says: [empty])
    try expect(65, ["judge", "--oracle", "rule:concise", "--data", empty], says: [empty])
    try expect(
      65,
      [
        "evaluate", shop.model, "--adapter", shop.adapter, "--oracle", "rule:concise", "--prompts", empty,
      ], says: [empty])
  }

  @Test func aRecordTheModelCannotTakeIs65AndNamedByFileAndLine() throws {
    let shop = try Workshop()
    let long = String(repeating: "x", count: 300)
    let prompts = try shop.file("long.jsonl", "{\"prompt\":\"a\"}\n\n{\"prompt\":\"\(long)\"}\n")
    try expect(
      65, ["generate", shop.model, "--prompts", prompts, "--max-tokens", "8"], says: [prompts, "ine 3", "context"])
    let windows = try shop.file("crlf.jsonl", "{\"prompt\":\"a\"}\r\n\r\n \r\n{\"prompt\":\"\(long)\"}\r\n")
    try expect(
      65, ["generate", shop.model, "--prompts", windows, "--max-tokens", "8"], says: [windows, "ine 4", "context"])
    let ids = try shop.file("ids.jsonl", "{\"prompt\":\"a\",\"response_ids\":[4711]}\n")
    try expect(65, ["score", shop.model, "--data", ids], says: [ids, "ine 1", "4711"])
  }

  @Test func anAdapterOfAnotherModelIs65() throws {
    let shop = try Workshop()
    let other = shop.folder + "/other.gguf"
    try Workshop.adapter(dim: 128, path: other)
    try expect(
      65, ["generate", shop.model, "--prompt", "x", "--adapter", other], says: ["blk.0.attn_q.weight"])
    try expect(65, ["generate", shop.model, "--prompt", "x", "--adapter", shop.model], says: ["adapter"])
  }

  @Test func wrongUsageIs64() throws {
    let shop = try Workshop()
    try expect(64, ["generate", shop.model, "--promt", "x"], says: ["--promt", "--prompt"])
    try expect(64, ["generate", shop.model], says: ["--prompt"])
    try expect(64, ["generate", shop.model, "--prompt", "x", "-n", "0"], says: ["-n"])
    try expect(64, ["generate", shop.model, "--prompt", "x", "--top-p", "2"], says: ["top-p"])
    try expect(64, ["generate", shop.model, "--prompt", "x", "--precision", "int4"], says: ["int4", "int8"])
    try expect(64, ["generate", shop.model, "--prompt", "x", "--kv", "int8"], says: ["--kv", "int8", "q8_0"])
    // Heads of 16 are no blocks of 32.
    try expect(65, ["generate", shop.model, "--prompt", "x", "--kv", "q8_0"], says: ["16", "32", "f16"])
    try expect(64, ["nonsense"], says: ["nonsense"])
    try expect(64, ["judge", "--oracle", "rule:consise", "--data", try shop.prompts()], says: ["rule:concise"])
  }

  @Test func aCountBeyondSenseIs64() throws {
    let shop = try Workshop()
    let generate = ["generate", shop.model, "--prompt", "x"]
    try expect(64, generate + ["--max-tokens", "\(Int.max)"], says: ["--max-tokens", "\(Int.max)"])
    try expect(64, generate + ["-n", "1000000000000"], says: ["-n", "1000000000000"])
    try expect(64, generate + ["--threads", "5000000000"], says: ["--threads", "5000000000"])
    try expect(64, generate + ["--ctx", "\(Int.max)"], says: ["--ctx", "\(Int.max)"])
    // Sensible for some model, but not for this one's context of 256.
    try expect(65, generate + ["--max-tokens", "16777216"], says: ["256"])
  }

  @Test func aNegativeNumberIsAValueNotAnOption() throws {
    let shop = try Workshop()
    let generate = ["generate", shop.model, "--prompt", "x"]
    try expect(64, generate + ["--temperature", "-1"], says: ["'temperature' must be"])
    try expect(64, generate + ["--max-tokens", "-1"], says: ["--max-tokens is -1"])
    try expect(64, generate + ["-n", "-1"], says: ["-n is -1"])
    let table = try shop.file("game.json", #"{"matrix":[[0.5]],"reference":[1]}"#)
    try expect(64, ["game", "--matrix", table, "--eta", "-1", "--tau", "0.1", "--rounds", "1"], says: ["eta -1"])
  }

  @Test func anOptionThatWouldBeIgnoredIs64() throws {
    let shop = try Workshop()
    let judge = ["judge", "--oracle", "rule:concise", "--data", try shop.prompts()]
    try expect(64, judge + ["--per-prompt", "2"], says: ["--per-prompt"])
    try expect(64, judge + ["--seed", "2"], says: ["--seed"])
    let twice = ["--adapter", shop.adapter, "--adapter", shop.adapter + "=2"]
    try expect(64, ["generate", shop.model, "--prompt", "x"] + twice, says: ["--adapter", "2 times"])
    try expect(64, ["score", shop.model, "--data", try shop.prompts()] + twice, says: ["--adapter"])
    try expect(64, ["chat", shop.model] + twice, says: ["--adapter"])
    let evaluate = ["evaluate", shop.model, "--prompts", try shop.prompts(), "--oracle", "rule:concise"]
    try expect(64, evaluate + twice, says: ["--adapter"])
    try expect(64, evaluate, says: ["--adapter"])
    try expect(64, evaluate + ["--quiet", "--verbose"], says: ["--quiet", "--verbose"])
    try expect(64, ["inpo", "--out", shop.folder + "/run", "--quiet", "--verbose"], says: ["--quiet", "--verbose"])
  }

  @Test func anUnknownKernelTableIsRefusedWithThoseThereAre() throws {
    let shop = try Workshop()
    try expect(
      64, ["inspect", shop.model], says: ["PARLEY_ISA", "scalar"], environment: ["PARLEY_ISA": "abacus"])
  }

  @Test func aContextBeyondTheModelsIs65() throws {
    let shop = try Workshop()
    try expect(65, ["inspect", shop.model, "--ctx", "100000"], says: ["100000", "256"])
  }

  @Test func aFolderThatIsNotThereIs74() throws {
    let shop = try Workshop()
    let out = shop.folder + "/no/such/folder/out.jsonl"
    try expect(
      74, ["generate", shop.model, "--prompt", "x", "--max-tokens", "2", "--out", out, "--quiet"], says: [out])
    try expect(74, ["generate", shop.model, "--prompt", "x", "--out", shop.folder], says: [shop.folder])
    // Known before anything is computed: a prompt that is too long would be found later.
    let long = String(repeating: "x", count: 300)
    try expect(74, ["generate", shop.model, "--prompt", long, "--out", out], says: [out])
    let score = try shop.file("score.jsonl", "{\"prompt\":\"\(long)\",\"response\":\"\"}\n")
    try expect(74, ["score", shop.model, "--data", score, "--out", out], says: [out])
  }

  @Test func anInterruptKeepsWhatIsDone() throws {
    let shop = try Workshop()
    let lines = (0..<1000).map { "{\"prompt\":\"\($0)\"}" }.joined(separator: "\n")
    let (prompts, out) = (try shop.file("many.jsonl", lines), shop.folder + "/out.jsonl")
    let running = try Program.launch([
      "generate", shop.model, "--prompts", prompts, "--max-tokens", "50", "--out", out, "--quiet",
    ])
    let part = out + ".part"
    while running.process.isRunning, (try? Program.text(part).isEmpty) ?? true { usleep(1000) }
    kill(running.process.processIdentifier, SIGINT)
    let result = try running.end()
    #expect(result.code == 130)
    let records = try Program.Result(code: 0, output: Program.text(part), errors: "").objects()
    #expect(!records.isEmpty && records.count < 1000, "it was stopped on its way")
    #expect(result.errors.contains("\(records.count) records") && result.errors.contains(part), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: out))
  }

  @Test func anErrorLeavesNoPartFile() throws {
    let shop = try Workshop()
    let (out, long) = (shop.folder + "/out.jsonl", String(repeating: "x", count: 300))
    try expect(65, ["generate", shop.model, "--prompt", long, "--out", out], says: ["context"])
    #expect(!FileManager.default.fileExists(atPath: out) && !FileManager.default.fileExists(atPath: out + ".part"))
  }
}
