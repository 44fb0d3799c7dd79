import Foundation
import TestSupport
import Testing

/// Names, shape and counts of `parley bench`. No time is judged.
struct BenchTests {
  private func report(_ arguments: [String]) throws -> [String: Any] {
    let result = try Program.run(["bench"] + arguments + ["--json"])
    #expect(result.code == 0, "\(arguments): \(result.errors)")
    return try #require(try result.objects().first)
  }

  private func results(_ report: [String: Any]) throws -> [[String: Any]] {
    try #require(report["results"] as? [[String: Any]])
  }

  @Test func itReportsWhatItMeasured() throws {
    let shop = try Workshop { $0.contextLength = 768 }  // no room for pp2048 and train-long
    let report = try report([shop.model, "--repetitions", "1"])
    #expect(report["model"] as? String == shop.model)
    let machine = try #require(report["machine"] as? [String: Any])
    #expect(try #require(machine["threads"] as? Int) > 0)
    #expect(machine["kernels"] as? String != nil && machine["system"] as? String != nil)
    let peak = try #require(machine["peak"] as? [String: Double])
    #expect(peak.keys.sorted() == ["fp32_gflops", "int16_gops", "int8_gops", "read_gbs"])
    for (name, rate) in peak { #expect(rate > 0 && rate.isFinite, "\(name)") }

    let results = try results(report)
    let batches = [1, 4, 8, 16, 32, 64].map { "batch-\($0)" }
    #expect(results.map { $0["name"] as? String } == ["pp512", "tg128"] + batches + ["score", "train"])
    for result in results {
      #expect(result["precision"] as? String == "int16")
      #expect(try #require(result["spread"] as? Double) == 0)  // of one run
      for name in ["tokens_per_second", "flops_share", "bandwidth_share", "peak_resident_mib"] {
        let value = try #require(result[name] as? Double, "\(name)")
        #expect(value > 0 && value.isFinite, "\(name)")
      }
    }
  }

  @Test func itMeasuresOnlyWhatIsAskedFor() throws {
    let shop = try Workshop { $0.contextLength = 1024 }
    let few = [shop.model, "--quiet", "--repetitions", "2", "--precision", "f32", "--only", "score", "tg128"]
    let results = try results(report(few))
    #expect(results.map { $0["name"] as? String } == ["score", "tg128"])
    #expect(results.map { $0["precision"] as? String } == ["f32", "f32"])
    let text = try Program.run(["bench"] + few).output.split(separator: "\n")
    try #require(text.count == 4)
    #expect(text[0].hasSuffix(": f32") && text[1].contains("Measured peaks"))
    #expect(text[2].hasPrefix("score ") && text[3].hasPrefix("tg128 "))
    // What has no room is an error when it was asked for by name.
    #expect(try Program.run(["bench", shop.model, "--quiet", "--only", "pp2048"]).code == 65)
  }

  /// What takes minutes on a real model is measured only by name, once, beside plainer work that came before it.
  @Test func longWorkIsSetBesidePlainerWork() throws {
    let shop = try Workshop {
      $0.contextLength = 512
      ($0.dim, $0.ffn, $0.layers, $0.heads, $0.kvHeads) = (32, 32, 1, 2, 1)
    }
    let works = ["batch-8", "batch-32", "rollouts", "score-policies", "pp512", "score-pairs", "score-policies"]
    let results = try results(report([shop.model, "--quiet", "--repetitions", "1", "--only"] + works))
    #expect(results.map { $0["name"] as? String } == works)
    func rate(_ place: Int) throws -> Double { try #require(results[place]["tokens_per_second"] as? Double) }
    let decode = try rate(0) > rate(1) ? 0 : 1
    for (place, plain) in [(2, decode), (5, 4), (6, 5)] {
      #expect(results[place]["baseline"] as? String == works[plain])
      // Three decimal numbers that were rounded to float64.
      expectClose(try #require(results[place]["ratio"] as? Double), try rate(place) / rate(plain), relative: 1e-15 * 4)
      #expect(try #require(results[place]["flops_share"] as? Double) > 0)
    }
    for place in [0, 3, 4] { #expect(results[place]["ratio"] == nil, "\(works[place])") }
  }

  /// share · time = work / peak, and tokens / rate = time: the work can be had back from the report and counted by hand.
  @Test func sharesFollowFromCountedWork() throws {
    let shop = try Workshop()
    let report = try report([shop.model, "--quiet", "--repetitions", "1", "--precision", "f32", "--only", "tg128"])
    let machine = try #require(report["machine"] as? [String: Any])
    let peak = try #require(machine["peak"] as? [String: Double])
    let result = try #require(try results(report).first)
    let seconds = 128 / (try #require(result["tokens_per_second"] as? Double))
    let operations =
      try #require(result["flops_share"] as? Double) * seconds * 1e9 * (try #require(peak["fp32_gflops"]))
    let bytes = try #require(result["bandwidth_share"] as? Double) * seconds * 1e9 * (try #require(peak["read_gbs"]))

    // The tiny model: D 64, two blocks, 4 heads of 16 and 2 for keys and values, F 128, tied, V 259.
    let attention = 64 * 64 + 2 * 32 * 64 + 64 * 64
    let feedForward = 3 * 128 * 64
    let head = 259 * 64
    let seen = 128 * 129 / 2  // the first token sees itself, the last all 128
    let expectedOperations = 128 * 2 * (2 * (attention + feedForward) + head) + seen * 2 * 4 * 64
    // Q4_0 has 18 bytes for 32 weights, Q8_0 34; two norms a block and one behind; keys and values are floats.
    let weights = 2 * (attention * 18 / 32 + feedForward * 34 / 32) + head * 18 / 32 + 5 * 64 * 4
    let expectedBytes = 128 * weights + seen * 2 * 2 * 32 * 4
    // Both come through a handful of float64 operations.
    #expect(abs(operations / Double(expectedOperations) - 1) < 1e-12)
    #expect(abs(bytes / Double(expectedBytes) - 1) < 1e-12)
  }

  /// A step of 4 pairs, prompts of 128 run once for two answers of 128, of which the last token needs no row.
  @Test func aStepIsCountedWithSharedPrompts() throws {
    let shop = try Workshop()
    let report = try report([shop.model, "--quiet", "--repetitions", "1", "--precision", "f32", "--only", "train"])
    let machine = try #require(report["machine"] as? [String: Any])
    let peak = try #require(machine["peak"] as? [String: Double])
    let result = try #require(try results(report).first)
    let seconds = 2048 / (try #require(result["tokens_per_second"] as? Double))
    let (float, integer) = (try #require(peak["fp32_gflops"]), try #require(peak["int16_gops"]))
    let least = try #require(result["flops_share"] as? Double) * seconds
    let bytes = try #require(result["bandwidth_share"] as? Double) * seconds * 1e9 * (try #require(peak["read_gbs"]))

    let rows = 128 + 2 * 127
    let layers = 2 * 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64)  // of a row, in two blocks
    let head = 2 * 259 * 64
    let seen = 128 * 129 / 2 + 2 * 127 * (129 + 255) / 2
    let attention = 2 * 4 * 64 * seen
    let adapter = 2 * 2 * (2 * 128 + 2 * 96 + 3 * 192) * 16
    // Backward as forward but in int16, in attention twice; an adapter costs thrice.
    let products = rows * layers + 256 * head
    let pair = Double(products + 3 * attention + 3 * rows * adapter) / float + Double(products) / integer
    #expect(abs(least * 1e9 / (4 * pair) - 1) < 1e-12)
    // Two pairs share a pass of up to 1024 rows, which reads the weights forward and backward.
    let weights = 2 * ((2 * 64 * 64 + 2 * 32 * 64) * 18 / 32 + 3 * 128 * 64 * 34 / 32) + 259 * 64 * 18 / 32 + 5 * 64 * 4
    #expect(abs(bytes / Double(2 * 2 * weights) - 1) < 1e-12)
  }
}
