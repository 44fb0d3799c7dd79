import Foundation
import INPO
import Tensors
import Testing

private let report = Report(
  model: "weights/SmolLM2-135M-Instruct-Q4_1.gguf", oracle: "rule:concise", adapter: "adapter.gguf",
  adapters: ["round-1/adapter.gguf", "round-2/adapter.gguf", "round-3/adapter.gguf"], seeds: ["run": 7],
  versions: ["parley": "0.1"],
  rounds: [
    .init(
      winRate: 0.58, low: 0.48, high: 0.67, meanTokens: 180, referenceMeanTokens: 196.5, kl: 1.5, lossFirst: 10000,
      lossLast: 9100, pairs: 250, seconds: .init(sample: 61, judge: 0.1, score: 20, train: 130.5, evaluate: 30)),
    .init(
      winRate: 0.71, low: 0.61, high: 0.79, meanTokens: 120, referenceMeanTokens: 196.5, kl: 6, lossFirst: 9800,
      lossLast: 8600, pairs: 251, seconds: .init(sample: 50, judge: 0.1, score: 18, train: 120, evaluate: 25)),
    .init(
      winRate: 0.83, low: 0.74, high: 0.89, meanTokens: 70.25, referenceMeanTokens: 196.5, kl: 12.5, lossFirst: 9500,
      lossLast: 8100, pairs: 249, seconds: .init(sample: 40, judge: 0.1, score: 15, train: 110, evaluate: 20)),
  ])

private let losses: [[Double]] = (0..<3).map { (round: Int) -> [Double] in
  (0..<16).map { (step: Int) -> Double in
    let trend = 10000 - 300 * Double(round) - 60 * Double(step)
    return trend + 150 * sin(Double(step * 7 + round))
  }
}

private func write(_ report: Report, losses: [[Double]] = losses) throws -> String {
  let folder = ProcessInfo.processInfo.environment["REPORT_FOLDER"] ?? NSTemporaryDirectory() + UUID().uuidString
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  try report.write(
    to: folder, losses: losses,
    samples: [.init(prompt: "List | three\nfruits", reference: "Sure! <b>\n\n- apple", policy: "Apple, pear & fig.")])
  return folder
}

@Test func reportHasTheAgreedFields() throws {
  let folder = try write(report)
  #expect(try Report.read(folder + "/report.json") == report)
  let json = try JSONSerialization.jsonObject(with: Data(AtomicFile.read(folder + "/report.json")))
  let rounds = try #require((json as? [String: Any])?["rounds"] as? [[String: Any]])
  #expect(rounds.count == 3)
  for round in rounds {
    #expect(
      Set(round.keys) == [
        "win_rate", "ci_low", "ci_high", "mean_tokens", "reference_mean_tokens", "kl", "loss_first", "loss_last",
        "pairs", "seconds",
      ])
    #expect(
      Set(try #require(round["seconds"] as? [String: Any]).keys) == ["sample", "judge", "score", "train", "evaluate"])
  }
}

@Test func reportTextShowsNumbersCurvesAndAnswers() throws {
  let folder = try write(report)
  let text = String(decoding: try AtomicFile.read(folder + "/report.md"), as: UTF8.self)
  #expect(text.contains("wins **83.0 %** of held-out"))
  #expect(text.contains("| 2 | 71.0 % | 61.0 % – 79.0 % | 120.0 | 196.5 | 6.00 | 9800.0 | 8600.0 | 251 | 3 min 33 s |"))
  #expect(text.contains("> List | three\n> fruits"))
  #expect(text.contains("| Sure! &lt;b><br>- apple | Apple, pear &amp; fig. |"))
  for name in ["win-rate", "length", "kl", "loss"] {
    #expect(text.contains("](curves/\(name).svg)"))
    let svg = try AtomicFile.read(folder + "/curves/\(name).svg")
    let parser = XMLShape(svg)
    #expect(parser.balanced, "\(name) is well-formed")
    // One dot per point: three rounds, twice for the two lengths, sixteen steps of each round.
    #expect(parser.count("circle") == ["win-rate": 3, "length": 6, "kl": 3, "loss": 48][name])
  }
}

@Test func aRunWithoutEvaluationStillReports() throws {
  var bare = report
  bare.rounds = [.init(pairs: 3, seconds: .init(sample: 1))]
  let folder = NSTemporaryDirectory() + UUID().uuidString
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  try bare.write(to: folder, losses: [[.nan, .infinity]], samples: [])
  let text = String(decoding: try AtomicFile.read(folder + "/report.md"), as: UTF8.self)
  #expect(text.contains("| 1 | – | – | – | – | – | – | – | 3 | 1.0 s |"))
  #expect(!text.contains(".svg"))
}

@Test func manifestsReadBack() throws {
  let path = NSTemporaryDirectory() + UUID().uuidString
  try AtomicFile.write(Array("abc".utf8), to: path)
  let file = try Manifest.File(of: path)
  #expect(file.bytes == 3 && file.sha256.hasPrefix("ba7816bf"))
  let manifest = Manifest(
    model: file, files: ["prompts": file], parley: "0.1", precision: "int16", kernels: "scalar", threads: 2)
  try manifest.write(to: path + ".json")
  #expect(try Manifest.read(path + ".json") == manifest)
}

/// Just enough of XML to see that elements close.
private struct XMLShape {
  private var opened: [String: Int] = [:]
  private var depth = 0
  private var broken = false

  init(_ bytes: [UInt8]) {
    for part in String(decoding: bytes, as: UTF8.self).split(separator: "<") {
      guard let end = part.firstIndex(of: ">") else {
        broken = true
        continue
      }
      let tag = part[..<end]
      if tag.hasPrefix("/") {
        depth -= 1
      } else {
        opened[String(tag.prefix { $0.isLetter }), default: 0] += 1
        depth += tag.hasSuffix("/") ? 0 : 1
      }
    }
  }

  var balanced: Bool { depth == 0 && !broken }
  func count(_ name: String) -> Int { opened[name] ?? 0 }
}
