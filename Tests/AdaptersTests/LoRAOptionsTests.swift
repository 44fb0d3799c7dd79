/// Ranks, alphas and scales of fresh adapters, and that files keep the scales: they have one alpha and no other word for it.

import Adapters
import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

struct LoRAOptionsTests {
  private static let shapes = Small.shapes + [("output.weight", 40, 16)]

  private func fresh(
    _ ranks: String = "", _ alphas: String = "", alpha: Float = 6, rslora: Bool = false
  ) throws -> LoRAAdapter {
    let options = LoRAOptions(
      rank: 4, alpha: alpha, rankPattern: try .ranks(ranks), alphaPattern: try .alphas(alphas), isRankStabilised: rslora
    )
    return try .fresh(architecture: "llama", options: options, seed: 3, shapes: Self.shapes)
  }

  private func module(_ adapter: LoRAAdapter, _ name: String) throws -> LoRAModule {
    try #require(adapter.modules.first { $0.name == name + ".weight" })
  }

  @Test func withoutPatternsAllAreAlike() throws {
    let plain = LoRAAdapter.fresh(architecture: "llama", rank: 4, alpha: 6, seed: 3, shapes: Self.shapes)
    #expect(try fresh().canonicalBytes == plain.canonicalBytes)
    #expect(plain.modules.last?.name == "output.weight")
  }

  @Test func theFirstEntryThatNamesALayerCounts() throws {
    let adapter = try fresh("blk.1.attn_q=9, q_proj=2,attention=3,lm_head=5")
    for (name, rank) in [
      ("blk.0.attn_q", 2), ("blk.1.attn_q", 9), ("blk.0.attn_v", 3), ("blk.1.ffn_up", 4), ("output", 5),
    ] {
      let module = try module(adapter, name)
      #expect(module.rank == rank && module.b.columns == rank, "\(name)")
      #expect(adapter.scale(of: module) == 6 / Float(rank))
    }
  }

  @Test func alphasOfSomeLayers() throws {
    let adapter = try fresh("attn_q=8", "attn_q=16,mlp=0")
    for (name, scale) in [("blk.0.attn_q", 2), ("blk.0.attn_k", 1.5), ("blk.1.ffn_down", 1)] as [(String, Float)] {
      #expect(adapter.scale(of: try module(adapter, name)) == scale, "\(name)")
    }
  }

  @Test func rankStabilisedScalesAreAlphaOverTheRoot() throws {
    let adapter = try fresh("attn_q=9", "ffn_up=5", rslora: true)
    for (name, scale) in [("blk.0.attn_q", 2), ("blk.0.attn_k", 3), ("blk.1.ffn_up", 2.5)] as [(String, Float)] {
      #expect(adapter.scale(of: try module(adapter, name)) == scale, "\(name)")
    }
    // One rank, one alpha: alpha · √rank says it all.
    let even = try fresh(rslora: true)
    #expect(even.alpha == 12 && even.modules.allSatisfy { $0.alpha == nil })
    #expect(try fresh(alpha: 0, rslora: true).alpha == 0)
  }

  @Test func badPatternsAreNamed() {
    for text in ["attn_q", "attn_q=", "attn_q=0", "attn_q=4097", "attn_q=1.5", "attn_q=1=2", "attn_q=8,,", "=8"] {
      #expect(throws: AdapterError.self, "\(text)") { try LoRAPattern.ranks(text) }
    }
    #expect(throws: AdapterError.badPattern("attn_q=x", expects: "a layer and its rank from 1 to 4096")) {
      try LoRAPattern.ranks("attn_k=2,attn_q=x")
    }
    for text in ["attn_q=-1", "attn_q=inf", "attn_q=nan", "attn_q=1e7"] {
      #expect(throws: AdapterError.self, "\(text)") { try LoRAPattern.alphas(text) }
    }
    #expect(throws: AdapterError.unknownTarget("atn_q", nearest: "attn_q")) { try LoRAPattern.ranks("atn_q=8") }
    // Named before, or not there.
    for (text, idle) in [("attention=2,attn_q=8", "attn_q=8"), ("blk.7.attn_q=8", "blk.7.attn_q=8")] {
      #expect(throws: AdapterError.idlePattern(idle)) { try fresh(text) }
      #expect(throws: AdapterError.idlePattern(idle)) { try fresh("", text) }
    }
  }

  // MARK: Files

  /// An adapter whose layers have four different scales, with random B.
  private func uneven(alpha: Float = 6) throws -> LoRAAdapter {
    let adapter = try fresh("attn_q=9,blk.1.ffn_up=2", "ffn_up=5,output=3,attn_k=0", alpha: alpha, rslora: true)
    for module in adapter.modules {
      for (i, value) in Seeded(2, module.name).floats(module.b.count).enumerated() { module.b.pointer[i] = value }
    }
    return adapter
  }

  /// scale · B · A in float64.
  private func change(_ b: Matrix, _ a: Matrix, scale: Double) -> [Double] {
    (0..<b.rows).flatMap { row in
      (0..<a.columns).map { column in
        scale * (0..<a.rows).reduce(0) { $0 + Double(b[row, $1]) * Double(a[$1, column]) }
      }
    }
  }

  /// B is rounded after its factor, which is rounded twice: 3 · 2⁻²⁴ of a sum of at most 9 products of at most 1 · 1/4, times a
  /// scale of at most 3 (or 6 with alpha 6 over √1).
  private let bound = 6 * 9 * 0.25 * 3 * 0x1p-24

  @Test(arguments: [0, 6] as [Float]) func aGGUFFileKeepsEveryChange(alpha: Float) throws {
    let adapter = try uneven(alpha: alpha)
    let before = adapter.canonicalBytes
    let path = try temporaryFolder() + "/a.gguf"
    try adapter.write(gguf: path)
    let back = try LoRAAdapter.read(gguf: path)
    #expect(adapter.canonicalBytes == before, "writing changes nothing in memory")
    #expect(back.modules.map(\.name) == adapter.modules.map(\.name))
    #expect(try GGUFFile.open(path).metadata["adapter.lora.alpha"] == .float32(back.alpha))
    for (got, want) in zip(back.modules, adapter.modules) {
      #expect(got.a.values == want.a.values && got.alpha == nil)
      expectClose(
        change(got.b, got.a, scale: Double(back.scale(of: got))),
        change(want.b, want.a, scale: Double(adapter.scale(of: want))), absolute: bound, want.name)
    }
  }

  @Test func oneSharedAlphaNeedsNoFolding() throws {
    let adapter = try fresh("attn_q=16", rslora: true)
    #expect(adapter.alpha == 12)
    let all = try fresh("", "all-linear=7,output=7").withOneAlpha()
    #expect(all.alpha == 7)
    let own = try fresh("", "all-linear=7,output=7").modules
    #expect(zip(all.modules, own).allSatisfy { $0.alpha == nil && $1.alpha == 7 })
  }

  @Test func aPEFTFolderKeepsEveryChange() throws {
    let adapter = try uneven()
    let folder = try temporaryFolder() + "/peft"
    try adapter.writePEFT(folder: folder, headDim: Small.headDim, pairs: .neighbours, baseName: nil)
    let tensors = try Safetensors(folder + "/adapter_model.safetensors")
    let config = try #require(
      JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: folder + "/adapter_config.json")))
        as? [String: Any])
    #expect(config["use_rslora"] as? Bool == false && config["r"] as? Int == 9)
    #expect(
      config["target_modules"] as? [String] == [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head",
      ])
    let scale = try #require(config["lora_alpha"] as? Double) / 9
    // Rows of q and k are elsewhere; PEFTFolderTests has their order.
    for (name, path) in [
      ("blk.0.attn_v", "model.layers.0.self_attn.v_proj"), ("blk.0.ffn_up", "model.layers.0.mlp.up_proj"),
      ("blk.1.ffn_up", "model.layers.1.mlp.up_proj"), ("output", "lm_head"),
    ] {
      let module = try module(adapter, name)
      let a = try #require(tensors.matrix("base_model.model.\(path).lora_A.weight"))
      let b = try #require(tensors.matrix("base_model.model.\(path).lora_B.weight"))
      #expect(a.rows == 9 && b.columns == 9)
      expectClose(
        change(b, a, scale: scale), change(module.b, module.a, scale: Double(adapter.scale(of: module))),
        absolute: bound, name)
    }
  }

  @Test func aFingerprintKnowsOwnAlphas() throws {
    let (plain, own) = (try fresh(), try fresh("", "attn_q=7"))
    #expect(plain.canonicalBytes != own.canonicalBytes)
    #expect(try own.canonicalBytes != fresh("", "attn_q=8").canonicalBytes)
    #expect(own.copy().canonicalBytes == own.canonicalBytes)
  }
}

/// Just enough of the format to read what was written.
private struct Safetensors {
  private let header: [String: Any]
  private let data: Data

  init(_ path: String) throws {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    header = try #require(JSONSerialization.jsonObject(with: bytes[8..<(8 + length)]) as? [String: Any])
    data = bytes[(8 + length)...]
  }

  func matrix(_ name: String) -> Matrix? {
    guard let entry = header[name] as? [String: Any], let shape = entry["shape"] as? [Int],
      let offsets = entry["data_offsets"] as? [Int]
    else { return nil }
    let part = [UInt8](data[(data.startIndex + offsets[0])..<(data.startIndex + offsets[1])])
    let floats = part.withUnsafeBytes { bytes in
      (0..<(shape[0] * shape[1])).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
    return Matrix(shape[0], shape[1], floats)
  }
}
