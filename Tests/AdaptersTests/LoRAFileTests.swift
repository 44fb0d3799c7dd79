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
    let tokens = "adapter.alora.invocation_tokens"
    expect(.unsupported(path: path, what: "activated LoRA ('\(tokens)')")) { writer in
      Self.addPair(&writer)
      writer.set(tokens, .uint32s([1, 2]))
    }
  }

  /// llama.cpp's converter writes such files too.
  @Test func quantisedFactorsAreReadAsFloats() throws {
    // d = 0.5, to the bit.
    var values: [Float] = (0..<32).map { Float($0) / 2 }
    values[0] = -63.5
    let adapter = try read { writer in
      writer.add(
        name: Self.q + ".lora_a", dimensions: [32, 1], format: .q8_0, bytes: WeightFormat.q8_0.encoded(values))
      writer.add(name: Self.q + ".lora_b", dimensions: [1, 4], floats: [1, 1, 1, 1])
    }
    #expect(adapter.modules[0].a.values == values)
  }

  /// Halves have the bytes of an encoder that shares no code; ranks of 3 are no blocks of 32, so B stays F32 in Q8_0.
  @Test(arguments: [WeightFormat.f16, .bf16, .q8_0])
  func factorsAreWrittenInOtherFormats(format: WeightFormat) throws {
    let a = Matrix(3, 64, Seeded(1).normals(192))
    let b = Matrix(64, 3, Seeded(2).normals(192))
    // Ties, the smallest half and less, the largest below the least normal one.
    let special: [Float] = [
      1 + 0x1p-11, 1 + 0x3p-11, 0x1p-24, 0x1p-25, 0x3p-26, 0x1.ffcp-15, -0.0, 1 + 0x1p-8, 1 + 0x3p-8,
    ]
    if format != .q8_0 {
      for (i, value) in special.enumerated() { b.buffer[i] = value }
    }
    let adapter = LoRAAdapter(
      architecture: "llama", alpha: 3, modules: [LoRAModule(name: Self.q, a: a, b: b)])
    try adapter.write(gguf: path, format: format)
    let file = try GGUFFile.open(path)
    let stored = try #require(file.tensor(Self.q + ".lora_a"))
    #expect(stored.format == format)
    if format == .q8_0 {
      // Half a step of a block's largest / 127, and a scale rounded to a half, 2⁻¹¹ of 127 steps.
      let back = try file.floats(stored.name).values
      for start in stride(from: 0, to: back.count, by: 32) {
        let largest = a.values[start..<(start + 32)].map(\.magnitude).max() ?? 0
        for i in start..<(start + 32) {
          #expect((back[i] - a.values[i]).magnitude <= largest / 127 * (0.5 + 127 * 0x1p-11))
        }
      }
    } else {
      #expect(Array(file.bytes(of: stored)) == format.encoded(a.values))
    }
    let other = try #require(file.tensor(Self.q + ".lora_b"))
    let formatOfB = format == .q8_0 ? WeightFormat.f32 : format
    #expect(other.format == formatOfB && Array(file.bytes(of: other)) == formatOfB.encoded(b.values))
    b.buffer[0] = 70000
    let tooLarge = AdapterError.tooLarge(tensor: Self.q + ".lora_b", value: 70000, format: "F16")
    if format == .f16 { #expect(throws: tooLarge) { try adapter.write(gguf: path, format: format) } }
  }

  @Test func theOriginIsKept() throws {
    var adapter = Small.adapter(rank: 2, alpha: 12)
    adapter.origin = LoRAOrigin(base: "some/base", facts: ["method": "inpo", "eta": "0.005"])
    try adapter.write(gguf: path)
    let back = try LoRAAdapter.read(gguf: path)
    #expect(back.origin == adapter.origin)
    #expect(back.canonicalBytes == Small.adapter(rank: 2, alpha: 12).canonicalBytes)
    #expect(try GGUFFile.open(path).metadata["general.base_model.0.name"] == .string("some/base"))
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
