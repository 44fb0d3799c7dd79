import Adapters
import Tensors

/// Gradients of an adapter's A and B, in the adapter's own order and shapes.
public final class LoRAGradients {
  public struct Pair {
    /// `[R, in]`
    public let a: Matrix
    /// `[out, R]`
    public let b: Matrix
  }

  public let names: [String]
  public let pairs: [Pair]
  private let byName: [String: Pair]

  public init(_ adapter: LoRAAdapter) {
    names = adapter.modules.map(\.name)
    pairs = adapter.modules.map {
      Pair(a: Matrix($0.a.rows, $0.a.columns), b: Matrix($0.b.rows, $0.b.columns))
    }
    byName = Dictionary(uniqueKeysWithValues: zip(names, pairs))
  }

  func pair(_ name: String) -> Pair? { byName[name] }

  public func clear() {
    for pair in pairs {
      pair.a.clear()
      pair.b.clear()
    }
  }
}
