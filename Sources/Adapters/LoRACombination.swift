import Tensors

/// Several adapters over one base as one: ranks add up, and the change is exactly the weighted sum.
extension LoRAAdapter {
  /// `Σ weight · adapter`. A's are stacked, and B's, times weight and scale, stand beside each other; all scales become 1.
  ///
  /// - Parameter parts: at least one, for models of one architecture.
  /// - Throws: `architecture` when they differ, `shape` when one layer has different shapes in two of them.
  public static func combined(_ parts: [(adapter: LoRAAdapter, weight: Float)]) throws(AdapterError) -> LoRAAdapter {
    precondition(!parts.isEmpty, "nothing to combine")
    let architecture = parts[0].adapter.architecture
    for part in parts where part.adapter.architecture != architecture {
      throw .architecture(adapter: part.adapter.architecture, model: architecture)
    }
    var terms: [String: [(module: LoRAModule, factor: Float)]] = [:]
    for part in parts {
      for module in part.adapter.modules {
        terms[module.name, default: []].append((module, part.weight * part.adapter.scale(of: module)))
      }
    }
    var modules: [LoRAModule] = []
    for (name, terms) in terms.sorted(by: { $0.key < $1.key }) { modules.append(try stacked(name, terms)) }
    // A scale of 1 for all: alpha is the rank, or 0 when the ranks differ.
    let ranks = Set(modules.map(\.rank))
    let alpha = ranks.count == 1 ? Float(ranks.first ?? 0) : 0
    return LoRAAdapter(architecture: architecture, alpha: alpha, modules: modules, origin: parts[0].adapter.origin)
  }

  private static func stacked(
    _ name: String, _ terms: [(module: LoRAModule, factor: Float)]
  ) throws(AdapterError) -> LoRAModule {
    let (rows, columns) = (terms[0].module.b.rows, terms[0].module.a.columns)
    let rank = terms.reduce(0) { $0 + $1.module.rank }
    let (a, b) = (Matrix(rank, columns), Matrix(rows, rank))
    var start = 0
    for (module, factor) in terms {
      guard module.b.rows == rows, module.a.columns == columns else {
        throw .shape(tensor: name, adapter: [module.b.rows, module.a.columns], model: [rows, columns])
      }
      for r in 0..<module.rank {
        _ = a.row(start + r).update(fromContentsOf: module.a.row(r))
        for row in 0..<rows { b[row, start + r] = factor * module.b[row, r] }
      }
      start += module.rank
    }
    return LoRAModule(name: name, a: a, b: b)
  }

  /// The same change as well as `rank` can say it: per layer the largest singular values of B A are kept.
  ///
  /// - Returns: the adapter with scale 1, and what each layer loses, ‖lost‖ / ‖all‖ in Frobenius norm, 0 for a layer that had no more.
  public func reduced(to rank: Int) -> (adapter: LoRAAdapter, lost: [(name: String, share: Double)]) {
    precondition(rank > 0, "an adapter cannot have rank \(rank)")
    var lost: [(name: String, share: Double)] = []
    let modules = modules.map { module in
      let svd = ProductSVD(b: module.b, a: module.a, scale: Double(scale(of: module)))
      lost.append((module.name, svd.lost(beyond: rank)))
      let (b, a) = svd.factors(rank: rank)
      return LoRAModule(name: module.name, a: a, b: b)
    }
    return (
      LoRAAdapter(architecture: architecture, alpha: Float(rank), modules: modules, origin: origin), lost
    )
  }
}
