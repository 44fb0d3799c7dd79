import Adapters
import Foundation
import GGUF
import Llama
import Tensors
import TestSupport
import Testing

/// The built program, run as a user runs it.
enum Program {
  struct Result {
    let code: Int32
    let output: String
    let errors: String

    /// Every line of the output as a JSON object.
    func objects() throws -> [[String: Any]] {
      try output.split(separator: "\n").map {
        try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "not an object: \($0)")
      }
    }
  }

  /// The products lie beside the test program.
  private static let path: String = {
    var folder = URL(fileURLWithPath: CommandLine.arguments[0])
    for _ in 0..<6 {
      folder.deleteLastPathComponent()
      let candidate = folder.appendingPathComponent("parley").path
      if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
    }
    return "parley was not built"
  }()

  static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], after prelude: String? = nil
  ) throws -> Result {
    let running = try launch(arguments, input: input, environment: environment, after: prelude)
    return try running.end()
  }

  /// A program that runs, for tests that stop it on its way.
  struct Running {
    let process: Process
    fileprivate let folder: String

    func end() throws -> Result {
      process.waitUntilExit()
      return Result(
        code: process.terminationStatus, output: try text(folder + "/out"), errors: try text(folder + "/err"))
    }
  }

  /// - Parameters:
  ///   - pipe: what it reads, in place of `input`.
  ///   - prelude: a command of the shell that sets up the process first, a limit for example.
  static func launch(
    _ arguments: [String], input: String = "", pipe: Pipe? = nil, environment: [String: String] = [:],
    after prelude: String? = nil
  ) throws -> Running {
    let folder = try temporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: prelude == nil ? path : "/bin/sh")
    process.arguments = prelude.map { ["-c", $0 + #" && exec "$0" "$@""#, path] + arguments } ?? arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    // Files instead of pipes: a full pipe would block the program while nobody reads.
    for (name, text) in [("in", input), ("out", ""), ("err", "")] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    process.standardInput = try pipe ?? FileHandle(forReadingFrom: URL(fileURLWithPath: folder + "/in"))
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: folder + "/out"))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: folder + "/err"))
    try process.run()
    return Running(process: process, folder: folder)
  }

  static func text(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
  }
}

/// A folder with a tiny model, an adapter for it, and files made from texts.
struct Workshop {
  let folder: String
  var model: String { folder + "/model.gguf" }
  var adapter: String { folder + "/adapter.gguf" }

  static let template =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

  init(_ change: (inout TinyModel) -> Void = { _ in }) throws {
    folder = try temporaryFolder()
    var tiny = TinyModel()
    tiny.deviation = 0.3
    tiny.chatTemplate = Self.template
    tiny.format = { $0.contains("ffn") ? .q8_0 : .q4_0 }
    change(&tiny)
    try tiny.write(to: model)
    try Self.adapter(dim: tiny.dim, path: adapter)
  }

  /// Adapts the query layer of the first block, with a B that is not zero.
  static func adapter(dim: Int, path: String) throws {
    let adapter = LoRAAdapter.fresh(
      architecture: "llama", rank: 4, alpha: 8, seed: 1, shapes: [("blk.0.attn_q.weight", dim, dim)])
    for module in adapter.modules {
      for (i, value) in Seeded(5).normals(module.b.count, deviation: 0.2).enumerated() { module.b.buffer[i] = value }
    }
    try adapter.write(gguf: path)
  }

  func file(_ name: String, _ text: String) throws -> String {
    let path = folder + "/" + name
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  func prompts() throws -> String {
    try file(
      "prompts.jsonl",
      """
      {"id":"p1","prompt":"Name a colour."}
      {"id":"p2","prompt":"Count to three, please.","topic":"numbers"}

      {"id":"p3","prompt":[{"role":"user","content":"é?"}]}
      """)
  }
}
