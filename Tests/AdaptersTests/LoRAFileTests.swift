import Adapters
import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

struct LoRAFileTests {
  private static let q = "blk.0.attn_q.weight"
  private let path: String

  init() throws { path = try temporaryFolder() + "/a.gguf" }

  @Test func whatIsWrittenIsRead() throws {
    let adapter = Small.adapter(alpha: 12) { $0.contains("ffn") ? 3 : 2 }
    let folder = try temporaryFolder()
    try adapter.write(gguf: folder + "/a.gguf")
    let back = try LoRAAdapter.read(gguf: folder + "/a.gguf")
    #expect(back.canonicalBytes == adapter.canonicalBytes)
    try back.write(gguf: folder + "/b.gguf")
    #expect(FileManager.default.contentsEqual(atPath: folder + "/a.gguf", andPath: folder + "/b.gguf"))
  }

  @Test func theFileIsWhatLlamaCppExpects() throws {
    let adapter = Small.adapter(rank: 2, alpha: 12)
    try adapter.write(gguf: path)
    let file = try GGUFFile.open(path)
    #expect(file.metadata["general.architecture"] == .string("llama"))
    #expect(file.metadata["general.type"] == .string("adapter"))
    #expect(file.metadata["adapter.type"] == .string("lora"))
    #expect(file.metadata["adapter.lora.alpha"] == .float32(12))
    #expect(file.tensors.map(\.name) == Small.names.flatMap { [$0 + ".lora_a", $0 + ".lora_b"] })
    // File order, fastest first: A is [in, R], B is [R, out].
    #expect(file.tensor("blk.0.ffn_down.weight.lora_a")?.dimensions == [24, 2])
    #expect(file.tensor("blk.0.ffn_down.weight.lora_b")?.dimensions == [2, 16])
    #expect(try file.floats("blk.0.ffn_down.weight.lora_a").values == adapter.modules[6].a.values)
  }

  /// llama.cpp looks rows of the embedding's A up, so there is one for each token.
  @Test func theEmbeddingsALiesTransposed() throws {
    let module = LoRAModule(
      name: "token_embd.weight", a: Matrix(2, 3, [1, 2, 3, 4, 5, 6]), b: Matrix(4, 2, [1, 2, 3, 4, 5, 6, 7, 8]))
    let adapter = LoRAAdapter(architecture: "llama", alpha: 12, modules: [module])
    try adapter.write(gguf: path)
    let file = try GGUFFile.open(path)
    #expect(file.tensor("token_embd.weight.lora_a")?.dimensions == [2, 3])
    #expect(try file.floats("token_embd.weight.lora_a").values == [1, 4, 2, 5, 3, 6])
    #expect(file.tensor("token_embd.weight.lora_b")?.dimensions == [2, 4])
    #expect(try LoRAAdapter.read(gguf: path).canonicalBytes == adapter.canonicalBytes)
  }

  @Test(arguments: [WeightFormat.f32, .f16, .bf16])
  func floatFormatsAreReadAsFloats(format: WeightFormat) throws {
    let values: [Float] = [1, -0.5, 0.25, 3]  // exact in all of them
    let adapter = try read { writer in
      writer.add(name: Self.q + ".lora_a", dimensions: [4, 1], format: format, bytes: format.encoded(values))
      writer.add(name: Self.q + ".lora_b", dimensions: [1, 4], format: format, bytes: format.encoded(values))
    }
    #expect(adapter.modules[0].a.values == values)
    #expect(adapter.modules[0].b.rows == 4 && adapter.modules[0].b.columns == 1)
  }

  @Test func missingAlphaIsZeroAndNormsAreIgnored() throws {
    let adapter = try read(alpha: nil) { writer in
      Self.addPair(&writer)
      writer.add(name: "blk.0.attn_norm.weight", dimensions: [4], floats: [1, 1, 1, 1])
    }
    #expect(adapter.modules.map(\.name) == [Self.q])
    #expect(adapter.alpha == 0 && adapter.scale(of: adapter.modules[0]) == 1)
  }

  @Test func otherFilesAreRefused() throws {
    let model = try temporaryFolder() + "/m.gguf"
    try TinyModel().write(to: model)
    #expect(throws: AdapterError.notAnAdapter(path: model, key: "general.type", found: "missing")) {
      try LoRAAdapter.read(gguf: model)
    }
    expect(.notAnAdapter(path: path, key: "adapter.type", found: "'dora'")) { writer in
      Self.addPair(&writer)
      writer.set("adapter.type", .string("dora"))
    }
    expect(.empty(path: path)) { _ in }
    #expect(throws: GGUFError.file(.notFound(model + "x"))) { try LoRAAdapter.read(gguf: model + "x") }
  }

  @Test func badPairsAreRefused() {
    for (suffix, missing) in [(".lora_a", ".lora_b"), (".lora_b", ".lora_a")] {
      expect(.lone(path: path, tensor: Self.q, missing: Self.q + missing)) { writer in
        writer.add(name: Self.q + suffix, dimensions: [4, 4], floats: [Float](repeating: 1, count: 16))
      }
    }
    expect(.rankMismatch(path: path, tensor: Self.q, a: [2, 4], b: [4, 3])) {
      Self.addPair(&$0, a: [4, 2], b: [3, 4])
    }
    expect(.transposed(path: path, tensor: Self.q)) { Self.addPair(&$0, a: [2, 4], b: [2, 4]) }
  }

  @Test func otherTensorsAreRefused() {
    for name in [
      "rope_freqs.weight", "token_types.weight.lora_a", Self.q + ".magnitude", Self.q,
    ] {
      expect(.unknownTensor(path: path, name: name)) { writer in
        Self.addPair(&writer)
        writer.add(name: name, dimensions: [4], floats: [1, 1, 1, 1])
      }
    }
    let block = WeightFormat.q8_0.encoded([Float](repeating: 1, count: 32))
    expect(.quantised(path: path, tensor: Self.q + ".lora_a", format: "Q8_0")) { writer in
      writer.add(name: Self.q + ".lora_a", dimensions: [32, 1], format: .q8_0, bytes: block)
      writer.add(name: Self.q + ".lora_b", dimensions: [1, 4], floats: [1, 1, 1, 1])
    }
  }

  @Test func badNumbersAreRefused() throws {
    expect(.badAlpha(.infinity)) { writer in
      Self.addPair(&writer)
      writer.set("adapter.lora.alpha", .float32(.infinity))
    }
    expect(.notFinite(tensor: Self.q + ".lora_a", index: 2)) { writer in
      writer.add(name: Self.q + ".lora_a", dimensions: [4, 1], floats: [1, 1, .nan, 1])
      writer.add(name: Self.q + ".lora_b", dimensions: [1, 4], floats: [1, 1, 1, 1])
    }
    // NaN is not equal to itself, so only its case can be told.
    #expect(throws: AdapterError.self) { try read(alpha: .nan) { Self.addPair(&$0) } }
  }

  @Test func aDivergedAdapterIsNotWritten() throws {
    let adapter = Small.adapter(rank: 1, alpha: 1)
    adapter.modules[0].a[0, 0] = .nan
    let folder = try temporaryFolder()
    #expect(throws: AdapterError.notFinite(tensor: Self.q + ".lora_a", index: 0)) {
      try adapter.write(gguf: folder + "/a.gguf")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }

  // MARK: Helpers

  private static func addPair(_ writer: inout GGUFWriter, a: [Int] = [4, 1], b: [Int] = [1, 4]) {
    writer.add(name: q + ".lora_a", dimensions: a, floats: [Float](repeating: 1, count: a[0] * a[1]))
    writer.add(name: q + ".lora_b", dimensions: b, floats: [Float](repeating: 1, count: b[0] * b[1]))
  }

  /// Writes an adapter file with these contents and reads it.
  private func read(alpha: Float? = 1, _ fill: (inout GGUFWriter) -> Void) throws -> LoRAAdapter {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    writer.set("general.type", .string("adapter"))
    writer.set("adapter.type", .string("lora"))
    if let alpha { writer.set("adapter.lora.alpha", .float32(alpha)) }
    fill(&writer)
    try writer.write(to: path)
    return try LoRAAdapter.read(gguf: path)
  }

  private func expect(
    _ error: AdapterError, sourceLocation: SourceLocation = #_sourceLocation, when fill: (inout GGUFWriter) -> Void
  ) {
    #expect(throws: error, sourceLocation: sourceLocation) { try read(fill) }
  }
}
