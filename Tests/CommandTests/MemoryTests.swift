import Foundation
import TestSupport
import Testing

/// `train --plan`, and what training then really holds.
struct MemoryTests {
  private static let model = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "weights/SmolLM2-135M-Instruct.Q4_1.gguf").path

  /// Numbers before "MiB", in order.
  private func sizes(_ text: some StringProtocol) -> [Double] {
    let words = text.split { " \n,;()".contains($0) }
    return zip(words, words.dropFirst()).compactMap { $1.hasPrefix("MiB") ? Double($0) : nil }
  }

  /// The first size of each line of a plan.
  private func lines(_ plan: String) -> [String: Double] {
    plan.split(separator: "\n").reduce(into: [:]) { table, line in
      let name = line.prefix(25).trimmingCharacters(in: .whitespaces)
      if let size = sizes(line).first { table[name] = size }
    }
  }

  private func pairs(_ folder: String, count: Int, words: Int) throws -> String {
    func text(_ words: Int, _ seed: Int) -> String {
      Seeded(UInt64(seed)).integers(words, below: 900).map { "\(100 + $0)" }.joined(separator: " ")
    }
    let lines = (0..<count).map {
      #"{"prompt":"\#(text(2 * words, 3 * $0))","chosen":"\#(text(words, 3 * $0 + 1))","rejected":"\#(text(2 * words, 3 * $0 + 2))"}"#
    }
    let path = folder + "/pairs.jsonl"
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  /// A real model, once with room for everything and once with hardly any.
  @Test(.serialized, arguments: ["4GiB", "240MiB"]) func trainingHoldsWhatWasPlanned(memory: String) throws {
    try #require(FileManager.default.fileExists(atPath: Self.model), "\(Self.model) is missing: run `make weights`.")
    let folder = try temporaryFolder()
    let arguments = [
      "train", Self.model, "--pairs", try pairs(folder, count: 2, words: 20), "--out", folder + "/out", "--epochs", "1",
      "--batch",
      "2", "--memory", memory,
    ]
    let plan = try Program.run(arguments + ["--plan"])
    #expect(plan.code == 0, "\(plan.errors)")
    let total = try #require(lines(plan.output)["total"])
    let result = try Program.run(arguments)
    #expect(result.code == 0, "\(result.errors)")
    let sentence = try #require(result.errors.split(separator: "\n").first { $0.hasPrefix("Training held at most") })
    let (held, planned) = (sizes(sentence)[0], sizes(sentence)[1])
    // Closer than the promise, 200 MiB beside the twentieth, which has to hold for models of any size.
    let allowed = 0.05 * planned + 32
    #expect(abs(held - planned) <= allowed, "\(sentence)")
    #expect(abs(total - planned) <= 0.02 * planned, "the plan said \(total) MiB, training \(planned)")
    let beside = try #require(sizes(plan.output.split(separator: "\n")[5]).last)
    #expect(memory == "4GiB" ? beside > 400 : beside <= 240, "\(plan.output)")
  }

  @Test func aPlanAddsUpAndWritesNothing() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out"
    let arguments = [
      "train", shop.model, "--pairs", try pairs(shop.folder, count: 3, words: 6), "--out", out, "--rank", "4",
    ]
    let result = try Program.run(arguments + ["--plan", "--batch", "2", "--epochs", "3"])
    #expect(result.code == 0, "\(result.errors)")
    let table = lines(result.output)
    let parts = ["model, mapped", "program and vocabulary", "adapter", "activations", "head"]
    let sum = try parts.reduce(0) { $0 + (try #require(table[$1], "\($1)")) }
    // Each of six numbers is rounded to a tenth.
    #expect(abs(sum - (try #require(table["total"]))) < 0.31)
    #expect(result.output.contains("6, each pass of at most"))
    #expect(result.output.contains("tokens/s"))
    #expect(!FileManager.default.fileExists(atPath: out))
  }

  /// The sentence names the least that can work and what would lower it; both are true.
  @Test func aBudgetThatCannotWorkIsRefused() throws {
    let shop = try Workshop()
    let out = shop.folder + "/out"
    let arguments = [
      "train", shop.model, "--pairs", try pairs(shop.folder, count: 3, words: 6), "--out", out, "--rank", "4", "--plan",
    ]
    let refused = try Program.run(arguments + ["--memory", "1MiB"])
    #expect(refused.code == 65)
    #expect(try Program.run(arguments.dropLast() + ["--memory", "1MiB"]).code == 65)
    let needs = sizes(refused.errors)
    try #require(needs.count == 3, "\(refused.errors)")
    #expect(needs[1] == 1 && needs[2] < needs[0])
    let words = refused.errors.split { " ()".contains($0) }
    let at = try #require(words.firstIndex(of: "--micro-batch-tokens"))
    let tokens = String(words[at + 1])
    #expect(try Program.run(arguments + ["--memory", "\(Int(needs[0]))MiB"]).code == 0)
    let lower = ["--micro-batch-tokens", tokens, "--memory", "\(Int(needs[2]))MiB"]
    #expect(try Program.run(arguments + lower).code == 0)
    #expect(!FileManager.default.fileExists(atPath: out))
  }
}
