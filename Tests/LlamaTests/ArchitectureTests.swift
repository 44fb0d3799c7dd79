/// Tiny models of each architecture against transformers. The fixture is made by `tools/make_architecture_fixture.py`, which
/// makes the same weights from the same seeds and shares no code with this package.

import Foundation
import GGUF
import Llama
import Tensors
import TestSupport
import Testing

@Suite struct ArchitectureTests {
  private struct Fixture: Decodable {
    let ids: [TokenID]
    let cases: [String: [Double]]
  }

  private static let fixture: Fixture? = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/logprobs-architectures.json")
    return (try? Data(contentsOf: file)).flatMap { try? JSONDecoder().decode(Fixture.self, from: $0) }
  }()

  private static let names = ["qwen2", "qwen3", "granite", "mistral3", "longrope"]

  private func model(_ name: String) throws -> TinyModel {
    var tiny = TinyModel()
    if let known = Tiny(rawValue: name) {
      tiny = known.model
    } else {
      (tiny.layers, tiny.seed, tiny.deviation) = (3, 7, (2 / Float(tiny.dim)).squareRoot())
      tiny.hasLongRope = true
      tiny.keys = [
        "rope.scaling.type": .string("longrope"), "rope.scaling.original_context_length": .uint32(32),
        "rope.scaling.attn_factor": .float32(1.2),
      ]
    }
    tiny.format = { _ in .f32 }
    return tiny
  }

  private func logProbs(_ tiny: TinyModel, _ ids: [TokenID]) throws -> [Float] {
    try Policy(tiny.file().load(.f32)).logProbs(ids)
  }

  /// Ours: some forty stages of float arithmetic on logits of a few units, √40 · √(128/6) · 2⁻²⁴ · 4 = 7e-6 a deviation (see
  /// `TwinLogProbTests`). Theirs: norms in float, and angles of up to 60 rounded to 2⁻¹⁹ = 2e-6. Five times the sum of both.
  @Test(arguments: names) func asInTransformers(name: String) throws {
    let fixture = try #require(Self.fixture)
    let want = try #require(fixture.cases[name])
    #expect(want.count == 59)
    expectClose(try logProbs(model(name), fixture.ids), want, absolute: 5e-5, name)
  }

  /// No key is read for nothing: without it the same model says something else.
  @Test(arguments: names) func everyKeyCounts(name: String) throws {
    let fixture = try #require(Self.fixture)
    let tiny = try model(name)
    let want = try logProbs(tiny, fixture.ids)
    for key in tiny.keys.keys where key != "rope.scaling.type" || name == "mistral3" {
      var other = tiny
      other.keys[key] = nil
      let far = zip(try logProbs(other, fixture.ids), want).map { abs($0 - $1) }.max() ?? 0
      #expect(far > 1e-3, "\(key)")
    }
  }
}
