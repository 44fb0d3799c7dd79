import Adapters
import Foundation
import GGUF
import Llama
import Scoring
import Tensors
import TestSupport
import Testing

/// The README's example of the library, compiled, run, and compared with the README.
struct LibraryExampleTests {
  private func example(_ modelPath: String, _ adapterPath: String, _ promptIDs: [TokenID], _ answerIDs: [TokenID])
    throws -> [[[ResponseScore]]]
  {
    // begin
    let file = try GGUFFile.open(modelPath)
    guard let kernels = Kernels(threads: ThreadCount.automatic) else { return [] }
    let model = try LlamaModel(file, precision: .int16, kernels: kernels)
    let tuned = try Policy(model, adapter: .read(gguf: adapterPath))
    let scorer = Scorer([tuned, try Policy(model)])  // one pass over the weights for both

    let request = ScoreRequest(prompt: promptIDs, responses: [answerIDs])
    var scores: [[[ResponseScore]]] = []
    try scorer.run([request], top: 3) { _, policies in
      let (policy, base) = (policies[0][0], policies[1][0])
      print("log π", policy.logp, "ratio", policy.logp - base.logp)
      for token in policy.distributions ?? [] { print(token.logp, token.entropy, token.top) }
      scores.append(policies)
    }
    // end
    return scores
  }

  @Test func itRunsAndIsWhatTheReadmeShows() throws {
    let folder = try temporaryFolder()
    var tiny = TinyModel()
    tiny.deviation = 0.3
    try tiny.write(to: folder + "/tiny.gguf")
    let adapter = LoRAAdapter.fresh(
      architecture: "llama", rank: 2, alpha: 4, seed: 1, shapes: [("blk.0.attn_q.weight", 64, 64)])
    for module in adapter.modules {
      for (i, value) in Seeded(5).normals(module.b.count, deviation: 0.2).enumerated() { module.b.buffer[i] = value }
    }
    try adapter.write(gguf: folder + "/adapter.gguf")
    let scores = try example(folder + "/tiny.gguf", folder + "/adapter.gguf", [70, 71, 72], [80, 81])
    #expect(scores.count == 1 && scores[0].map { $0[0].logps.count } == [2, 2])
    #expect(scores[0][0] != scores[0][1])

    let here = URL(fileURLWithPath: #filePath)
    let source = try String(contentsOf: here, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(source.firstIndex { $0.hasSuffix("// begin") })
    let end = try #require(source.firstIndex { $0.hasSuffix("// end") })
    let shown = source[(begin + 1)..<end].map { $0.hasPrefix("    ") ? String($0.dropFirst(4)) : String($0) }
    let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    #expect(readme.contains(shown.joined(separator: "\n")))
  }
}
