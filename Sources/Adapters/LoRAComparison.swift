import Tensors

/// How much an adapter changes, and how far two of them are apart, in Frobenius norm, without forming any change ΔW = s B A:
/// ⟨s B A, s' B' A'⟩ = s s' Σ (BᵀB')·(A A'ᵀ), sums over R by R' products. In float64.
extension LoRAAdapter {
  /// ‖ΔW‖ of one of this adapter's modules.
  public func size(of module: LoRAModule) -> Double { Self.product((self, module), (self, module)).squareRoot() }

  /// Of the same layer in two adapters: the cosine between their changes, and ‖ΔW − ΔW'‖ / ‖ΔW‖. The distance is known to about
  /// 1e-8. Layers that one of them lacks count as no change there.
  ///
  /// - Returns: one entry a layer of either, in the order of files; nil stands for 0 / 0.
  public func compared(with other: LoRAAdapter) -> [LayerComparison] {
    let (mine, theirs) = (Self.byName(modules), Self.byName(other.modules))
    let names = modules.map(\.name) + other.modules.map(\.name).filter { mine[$0] == nil }
    return names.map { name in
      let (a, b) = (mine[name].map { (self, $0) }, theirs[name].map { (other, $0) })
      let (aa, bb) = (a.map { Self.product($0, $0) } ?? 0, b.map { Self.product($0, $0) } ?? 0)
      var ab = 0.0
      if let a, let b { ab = Self.product(a, b) }
      let distance = max(0, aa + bb - 2 * ab).squareRoot()
      return LayerComparison(
        name: name, size: aa.squareRoot(), otherSize: bb.squareRoot(), difference: distance,
        cosine: aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : nil)
    }
  }

  private static func byName(_ modules: [LoRAModule]) -> [String: LoRAModule] {
    Dictionary(modules.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  private static func product(
    _ one: (adapter: LoRAAdapter, module: LoRAModule), _ two: (adapter: LoRAAdapter, module: LoRAModule)
  ) -> Double {
    let (m, n) = (one.module, two.module)
    guard m.b.rows == n.b.rows, m.a.columns == n.a.columns else { return 0 }
    var bb = [Double](repeating: 0, count: m.rank * n.rank)
    for row in 0..<m.b.rows {
      let (x, y) = (m.b.row(row), n.b.row(row))
      for i in 0..<m.rank {
        for j in 0..<n.rank { bb[i * n.rank + j] += Double(x[i]) * Double(y[j]) }
      }
    }
    var sum = 0.0
    for i in 0..<m.rank {
      for j in 0..<n.rank {
        sum += bb[i * n.rank + j] * zip(m.a.row(i), n.a.row(j)).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      }
    }
    return Double(one.adapter.scale(of: m)) * Double(two.adapter.scale(of: n)) * sum
  }
}

/// One layer of two adapters; sizes are Frobenius norms of the changes.
public struct LayerComparison: Equatable, Sendable {
  public let name: String
  public let size: Double
  public let otherSize: Double
  public let difference: Double
  /// nil when one of them changes nothing.
  public let cosine: Double?
}
