import Adapters
import Foundation
import GGUF
import Llama
import Tensors
import TestSupport
import Testing

/// Adapters that come from elsewhere and go elsewhere, through the program.
struct AdapterTests {
  private let shop: Workshop
  private let data: String

  init() throws {
    shop = try Workshop()
    // Query and key, whose rows change places, and a layer of the other kind.
    let shapes: [LoRAShape] = [
      ("blk.0.attn_q.weight", 64, 64), ("blk.1.attn_k.weight", 32, 64), ("blk.1.ffn_down.weight", 64, 128),
    ]
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 3, alpha: 7, seed: 1, shapes: shapes)
    for module in adapter.modules {
      for (i, value) in Seeded(5, module.name).normals(module.b.count, deviation: 0.2).enumerated() {
        module.b.buffer[i] = value
      }
    }
    try adapter.write(gguf: shop.adapter)
    data = try shop.file("data.jsonl", #"{"prompt":"Name a colour.","response":"Green or blue."}"#)
  }

  private func scores(_ adapter: String) throws -> String {
    let result = try Program.run(["score", shop.model, "--data", data, "--adapter", adapter, "--per-token"])
    #expect(result.code == 0, "\(result.errors)")
    return result.output
  }

  private func export(_ arguments: [String]) throws -> Program.Result {
    let result = try Program.run(["export", "--model", shop.model] + arguments)
    #expect(result.code == 0, "\(result.errors)")
    return result
  }

  /// There and back again: the same log-probs to the bit, and the same file.
  @Test func aPEFTFolderServesAsTheGGUFFile() throws {
    let (peft, back) = (shop.folder + "/peft", shop.folder + "/back.gguf")
    _ = try export([shop.adapter, "--to", "peft", "--out", peft, "--base-name", "us/tiny"])
    let own = try scores(shop.adapter)
    #expect(try scores(peft) == own)
    let base = try Program.run(["score", shop.model, "--data", data, "--per-token"]).output
    #expect(try scores(shop.adapter + "=0") == base && own != base)
    _ = try export([peft, "--to", "gguf", "--out", back])
    let (one, two) = (try GGUFFile.open(shop.adapter), try GGUFFile.open(back))
    #expect(one.tensors == two.tensors)
    for tensor in one.tensors { #expect(one.bytes(of: tensor).elementsEqual(two.bytes(of: tensor))) }
    // generate takes it too.
    let answer = try Program.run([
      "generate", shop.model, "--prompt", "x", "--max-tokens", "2", "--seed", "1", "--adapter", peft,
    ])
    #expect(answer.code == 0, "\(answer.errors)")
  }

  /// 0.5 of one and 0.5 of the same is the one, as far as floats tell.
  @Test func severalBecomeOne() throws {
    let (sum, small) = (shop.folder + "/sum.gguf", shop.folder + "/small.gguf")
    let halves = [shop.adapter + "=0.5", shop.adapter + "=0.5", "--to", "gguf"]
    _ = try export(halves + ["--out", sum])
    let note = try export(halves + ["--rank", "3", "--out", small]).errors
    #expect(note.contains("Rank 3 loses"))
    for (path, rank) in [(sum, 6), (small, 3)] {
      let report = try verify([path, "--against", shop.adapter])
      let layers = try #require(report["layers"] as? [[String: Any]])
      #expect(layers.count == 3)
      for layer in layers {
        #expect(layer["rank"] as? Int == rank)
        #expect(try #require(layer["difference"] as? Double) < 1e-6)
        #expect(abs(try #require(layer["cosine"] as? Double) - 1) < 1e-9)
      }
    }
  }

  @Test func verifyShowsHowMuchChanges() throws {
    let report = try verify([shop.adapter])
    #expect(report["architecture"] as? String == "llama" && report["model"] as? String == "tiny")
    let layers = try #require(report["layers"] as? [[String: Any]])
    let adapter = try LoRAAdapter.read(gguf: shop.adapter)
    #expect(layers.compactMap { $0["name"] as? String } == adapter.modules.map(\.name))
    for (layer, module) in zip(layers, adapter.modules) {
      let weight = try GGUFFile.open(shop.model).floats(module.name).values
      let norm = weight.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let effect = try #require(layer["effect"] as? Double)
      #expect(abs(effect - adapter.size(of: module) / norm) < 1e-9 * effect)
    }
    let table = try Program.run(["verify", shop.adapter, "--model", shop.model])
    #expect(table.code == 0 && table.output.contains("blk.1.ffn_down.weight     3  2.333"))
  }

  private func verify(_ arguments: [String]) throws -> [String: Any] {
    let result = try Program.run(["verify", "--model", shop.model, "--json"] + arguments)
    #expect(result.code == 0, "\(result.errors)")
    return try #require(result.objects().first)
  }

  @Test func wrongAdaptersEndWithOneSentence() throws {
    func expect(_ code: Int32, _ path: String, says part: String, _ location: SourceLocation = #_sourceLocation) throws
    {
      for arguments in [
        ["verify", path, "--model", shop.model], ["score", shop.model, "--data", data, "--adapter", path],
        ["export", path, "--model", shop.model, "--to", "gguf", "--out", shop.folder + "/out.gguf"],
      ] {
        let result = try Program.run(arguments)
        #expect(result.code == code, "\(result.errors)", sourceLocation: location)
        #expect(result.errors.contains(part), "\(result.errors)", sourceLocation: location)
        #expect(result.output.isEmpty && result.errors.filter(\.isNewline).count == 1, sourceLocation: location)
      }
      #expect(!FileManager.default.fileExists(atPath: shop.folder + "/out.gguf"), sourceLocation: location)
    }
    try expect(66, shop.folder, says: "adapter_config.json")
    try expect(66, shop.folder + "/none", says: "There is no file")
    try expect(65, try shop.file("adapter_model.bin", "PK"), says: "pickle")
    _ = try shop.file("adapter_config.json", #"{"peft_type":"LORA","r":8}"#)
    try expect(65, shop.folder, says: "pickle")
    try expect(65, try shop.file("adapter_model.safetensors", "short"), says: "header")
  }

  @Test func optionsThatWouldBeIgnoredAreErrors() throws {
    let start = ["export", shop.adapter, "--model", shop.model, "--out", shop.folder + "/out"]
    for (more, part) in [
      (["--to", "peft", "--type", "q8_0"], "PEFT reads no q8_0"),
      (["--to", "gguf", "--base-name", "a/b"], "--base-name"),
      (["--to", "gguf", "--rank", "0"], "--rank"),
    ] {
      let result = try Program.run(start + more)
      #expect(result.code == 64 && result.errors.contains(part), "\(result.errors)")
    }
  }
}
