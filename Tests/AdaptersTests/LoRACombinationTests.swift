import Adapters
import Tensors
import TestSupport
import Testing

struct LoRACombinationTests {
  /// Σ scale · B A of one layer, [out, in], in float64.
  private func change(_ adapter: LoRAAdapter, _ name: String) -> [Double] {
    guard let module = adapter.modules.first(where: { $0.name == name }) else { return [] }
    let scale = Double(adapter.scale(of: module))
    let (a, b) = (module.a, module.b)
    var out = [Double](repeating: 0, count: b.rows * a.columns)
    for row in 0..<b.rows {
      for column in 0..<a.columns {
        var sum = 0.0
        for r in 0..<module.rank { sum += Double(b[row, r]) * Double(a[r, column]) }
        out[row * a.columns + column] = scale * sum
      }
    }
    return out
  }

  private func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  private static func another() -> LoRAAdapter {
    let modules = Small.shapes.filter { !$0.name.contains("ffn_up") }.map { shape in
      LoRAModule(
        name: shape.name, a: Matrix(3, shape.columns, Seeded(7, shape.name).floats(3 * shape.columns)),
        b: Matrix(shape.rows, 3, Seeded(8, shape.name).floats(shape.rows * 3)))
    }
    return LoRAAdapter(architecture: "llama", alpha: 5, modules: modules)
  }

  @Test func ranksAddUpToTheWeightedSum() throws {
    let (one, two) = (Small.adapter(rank: 2, alpha: 3), Self.another())
    let sum = try LoRAAdapter.combined([(one, 0.5), (two, -2)])
    #expect(sum.modules.map(\.name) == Small.names)
    for module in sum.modules {
      let isShared = !module.name.contains("ffn_up")
      #expect(module.rank == (isShared ? 5 : 2))
      let (x, y) = (change(one, module.name), change(two, module.name))
      let want = x.indices.map { 0.5 * x[$0] - 2 * (isShared ? y[$0] : 0) }
      // B is rounded once after its factor, which is rounded twice: 3 · 2⁻²⁴ of at most 0.75 · 2 + 10 / 3 · 3 in all.
      expectClose(change(sum, module.name), want, absolute: 3 * 0x1p-24 * 11.5)
    }
    // One alone keeps its alpha's meaning.
    let half = try LoRAAdapter.combined([(one, 0.5)])
    #expect(half.alpha == 2 && half.modules.allSatisfy { half.scale(of: $0) == 1 })
  }

  @Test func adaptersOfDifferentModelsAreNotAdded() throws {
    let one = Small.adapter(rank: 2, alpha: 3)
    let other = LoRAAdapter(architecture: "qwen2", alpha: 1, modules: one.modules)
    #expect(throws: AdapterError.architecture(adapter: "qwen2", model: "llama")) {
      try LoRAAdapter.combined([(one, 1), (other, 1)])
    }
    let wide = LoRAModule(name: Small.names[0], a: Matrix(1, 20), b: Matrix(16, 1))
    #expect(throws: AdapterError.shape(tensor: Small.names[0], adapter: [16, 20], model: [16, 16])) {
      try LoRAAdapter.combined([(one, 1), (LoRAAdapter(architecture: "llama", alpha: 1, modules: [wide]), 1)])
    }
  }

  /// An adapter added to itself has the rank of one of them, so nothing is lost.
  @Test func aSumOfTheSameIsReducedWithoutLoss() throws {
    let one = Small.adapter(rank: 2, alpha: 3)
    let (reduced, lost) = try LoRAAdapter.combined([(one, 1), (one, 1)]).reduced(to: 2)
    #expect(reduced.modules.allSatisfy { $0.rank == 2 && reduced.scale(of: $0) == 1 })
    #expect(lost.allSatisfy { $0.share < 1e-12 })
    for name in Small.names {
      let want = change(one, name).map { 2 * $0 }
      // Two factors rounded to floats: 2 · 2⁻²⁴ of the sum of the products' sizes, which the norm bounds.
      expectClose(change(reduced, name), want, absolute: 2 * 0x1p-24 * 2 * norm(want))
    }
  }

  /// By Eckart and Young, what is left out is what truncation loses; no worse, no better.
  @Test(arguments: [1, 2, 4, 7])
  func truncationLosesWhatItSays(rank: Int) throws {
    let sum = try LoRAAdapter.combined([(Small.adapter(rank: 2, alpha: 3), 1), (Self.another(), 1)])
    let (reduced, lost) = sum.reduced(to: rank)
    for (name, share) in lost {
      let (all, kept) = (change(sum, name), change(reduced, name))
      let difference = norm(zip(all, kept).map { $0 - $1 }) / norm(all)
      #expect(abs(difference - share) < 1e-6, "\(name): \(difference), said \(share)")
      let isWhole = rank >= (name.contains("ffn_up") ? 2 : 5)
      #expect(isWhole ? share < 1e-12 : share > 0.01)
    }
  }

  /// Known values: diag(3, 2, 1) hidden behind a rotation of both sides.
  @Test func theLargestSingularValuesAreKept() throws {
    let (c, s) = (Float(0.6), Float(0.8))
    let b = Matrix(3, 3, [3 * c, -2 * s, 0, 3 * s, 2 * c, 0, 0, 0, 1])
    let a = Matrix(3, 3, [c, 0, s, 0, 1, 0, -s, 0, c])
    let adapter = LoRAAdapter(
      architecture: "llama", alpha: 3, modules: [LoRAModule(name: Small.names[0], a: a, b: b)])
    for (rank, rest) in [(1, 5.0), (2, 1.0)] {
      let share = try #require(adapter.reduced(to: rank).lost.first).share
      #expect(abs(share - (rest / 14).squareRoot()) < 1e-6)
    }
  }

  @Test func sizesAndDistancesAreThoseOfTheChanges() throws {
    let (one, two) = (Small.adapter(rank: 2, alpha: 3), Self.another())
    for (layer, module) in zip(one.compared(with: two), one.modules) {
      let x = change(one, layer.name)
      let found = change(two, layer.name)
      let y = found.isEmpty ? x.map { _ in 0 } : found
      #expect(layer.name == module.name)
      #expect(abs(layer.size - norm(x)) < 1e-9 * norm(x) && layer.size == one.size(of: module))
      #expect(abs(layer.otherSize - norm(y)) < 1e-9 * norm(x))
      #expect(abs(layer.difference - norm(zip(x, y).map { $0 - $1 })) < 1e-7 * norm(x))
      let dot = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
      if let cosine = layer.cosine {
        #expect(abs(cosine - dot / norm(x) / norm(y)) < 1e-9)
      } else {
        #expect(found.isEmpty)
      }
    }
    #expect(one.compared(with: one.copy()).allSatisfy { $0.difference == 0 && abs(($0.cosine ?? 0) - 1) < 1e-12 })
    #expect(two.compared(with: one).map(\.name).suffix(2) == ["blk.0.ffn_up.weight", "blk.1.ffn_up.weight"])
  }
}
