import Adapters
import Tensors
import TestSupport
import Testing

struct LoRAAdapterTests {
  @Test func aFreshAdapterChangesNothingYet() throws {
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 4, alpha: 8, seed: 7, shapes: Small.shapes)
    #expect(adapter.modules.map(\.name) == Small.names)
    for (module, shape) in zip(adapter.modules, Small.shapes) {
      #expect(module.rank == 4 && module.a.columns == shape.columns && module.b.rows == shape.rows)
      #expect(module.b.values.allSatisfy { $0 == 0 })
      let bound = 1 / Float(shape.columns).squareRoot()
      #expect(module.a.values.allSatisfy { abs($0) <= bound })
      // The mean of n values of deviation bound/√3 has deviation bound/√(3n); five of them.
      let mean = module.a.values.reduce(0, +) / Float(module.a.count)
      expectClose(mean, Float(0), absolute: Double(5 * bound / Float(3 * module.a.count).squareRoot()))
      #expect((module.a.values.max() ?? 0) > bound / 2)
    }
  }

  /// A token meets one column of A: that is what must be zero, so that B, of variance 1, can show it the way.
  @Test func aFreshEmbeddingChangesNothingYetEither() {
    let shapes: [LoRAShape] = [("token_embd.weight", 64, 300)]
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 4, alpha: 8, seed: 7, shapes: shapes)
    let module = adapter.modules[0]
    #expect(adapter.changesNothing)
    #expect(module.a.values.allSatisfy { $0 == 0 })
    // The variance of 256 uniform values: deviation √(0.8 / 256) = 0.056; five of them.
    let variance = module.b.values.reduce(0) { $0 + $1 * $1 } / Float(module.b.count)
    expectClose(variance, Float(1), absolute: 0.28)
    module.a[0, 5] = 1
    #expect(!adapter.changesNothing)
  }

  @Test func freshValuesArePinned() throws {
    let shapes: [LoRAShape] = [("blk.0.attn_q.weight", 3, 4)]
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 1, alpha: 1, seed: 7, shapes: shapes)
    // The stream's values are pinned in CounterRandomTests; the fourth is 0.5449700590541245 and 1/√4 the bound.
    #expect(adapter.modules[0].a[0, 3] == Float((2 * 0.5449700590541245 - 1) / 2))
  }

  @Test func aStreamDependsOnSeedAndNameOnly() {
    func fresh(_ seed: UInt64, _ shapes: [LoRAShape]) -> LoRAAdapter {
      .fresh(architecture: "llama", rank: 2, alpha: 1, seed: seed, shapes: shapes)
    }
    let all = fresh(1, Small.shapes)
    let reversed = fresh(1, Small.shapes.reversed())
    #expect(all.canonicalBytes == reversed.canonicalBytes)
    let one = fresh(1, [Small.shapes[3]])
    #expect(one.modules[0].a.values == all.modules[3].a.values)
    #expect(fresh(2, Small.shapes).modules[0].a.values != all.modules[0].a.values)
    #expect(all.modules[0].a.values != all.modules[7].a.values)
  }

  @Test func modulesAreInBlockOrder() {
    let modules = ["blk.10.attn_q.weight", "blk.2.ffn_down.weight", "blk.2.attn_v.weight", "blk.2.attn_k.weight"].map {
      LoRAModule(name: $0, a: Matrix(1, 2), b: Matrix(2, 1))
    }
    let names = LoRAAdapter(architecture: "llama", alpha: 1, modules: modules).modules.map(\.name)
    #expect(
      names == ["blk.2.attn_k.weight", "blk.2.attn_v.weight", "blk.2.ffn_down.weight", "blk.10.attn_q.weight"])
  }

  @Test func scaleIsAlphaOverRankOrOne() {
    var adapter = Small.adapter(rank: 4, alpha: 6)
    #expect(adapter.scale(of: adapter.modules[0]) == 1.5)
    adapter.alpha = 0
    #expect(adapter.scale(of: adapter.modules[0]) == 1)
  }

  @Test func aCopyIsIndependent() {
    let adapter = Small.adapter(rank: 2, alpha: 4)
    let copy = adapter.copy()
    #expect(copy.canonicalBytes == adapter.canonicalBytes)
    adapter.modules[0].b[0, 0] += 1
    #expect(copy.canonicalBytes != adapter.canonicalBytes)
  }

  @Test func canonicalBytesHoldEverythingInOrder() {
    let module = LoRAModule(name: "m", a: Matrix(1, 2, [1, 2]), b: Matrix(1, 1, [3]))
    let bytes = LoRAAdapter(architecture: "ll", alpha: 0.5, modules: [module]).canonicalBytes
    func word(_ value: UInt8) -> [UInt8] { [value, 0, 0, 0, 0, 0, 0, 0] }
    let wanted: [UInt8] =
      word(2) + Array("ll".utf8) + [0, 0, 0, 0x3f] + word(1) + word(1) + Array("m".utf8)
      + word(1) + word(2) + [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40] + word(1) + word(1) + [0, 0, 0x40, 0x40]
    #expect(bytes == wanted)
  }

  @Test func anAdapterMustFitItsModel() throws {
    let adapter = Small.adapter(rank: 2, alpha: 4)
    try adapter.check(architecture: "llama", layers: Small.shapes)
    #expect(throws: AdapterError.architecture(adapter: "llama", model: "qwen2")) {
      try adapter.check(architecture: "qwen2", layers: Small.shapes)
    }
    #expect(throws: AdapterError.notInModel(tensor: "blk.1.ffn_down.weight")) {
      try adapter.check(architecture: "llama", layers: Array(Small.shapes.dropLast()))
    }
    var wider = Small.shapes
    wider[2].columns = 99
    #expect(throws: AdapterError.shape(tensor: "blk.0.attn_v.weight", adapter: [8, 16], model: [8, 99])) {
      try adapter.check(architecture: "llama", layers: wider)
    }
  }

  @Test func valuesMustBeFinite() throws {
    var adapter = Small.adapter(rank: 2, alpha: 4)
    try adapter.checkFinite()
    adapter.modules[1].b[0, 1] = .infinity
    #expect(throws: AdapterError.notFinite(tensor: "blk.0.attn_k.weight.lora_b", index: 1)) {
      try adapter.checkFinite()
    }
    adapter.alpha = -.infinity
    #expect(throws: AdapterError.badAlpha(-.infinity)) { try adapter.checkFinite() }
  }
}
