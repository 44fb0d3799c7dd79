/// LoRA (Hu et al. 2021, arXiv 2106.09685): y += scale · B (A x), with dropout y += scale · B (A (f ∘ x)). Also the shape of its
/// own gradient.

public struct TwinLoRA: Equatable, Sendable {
  /// `[R, in]`
  public var a: TwinTensor
  /// `[out, R]`
  public var b: TwinTensor
  public var scale: Double
  /// Dropout's factors f of one sequence, `[T, in]`; nil is 1 everywhere.
  public var inputFactors: TwinTensor?

  public init(a: TwinTensor, b: TwinTensor, scale: Double) {
    precondition(a.rows == b.columns, "A has rank \(a.rows), B has \(b.columns)")
    self.a = a
    self.b = b
    self.scale = scale
  }

  /// f ∘ x
  func dropped(_ x: TwinTensor) -> TwinTensor {
    guard let inputFactors else { return x }
    var dropped = x
    for i in x.values.indices { dropped.values[i] *= inputFactors.values[i] }
    return dropped
  }
}

public struct TwinAdapter: Equatable, Sendable {
  /// By the name of the base tensor, for example `blk.0.attn_q.weight`.
  public var modules: [String: TwinLoRA]

  public init(_ modules: [String: TwinLoRA] = [:]) { self.modules = modules }

  /// A gradient of zeros for `other`; scales are kept.
  public init(zerosLike other: TwinAdapter) {
    modules = other.modules.mapValues {
      TwinLoRA(a: TwinTensor(zerosLike: $0.a), b: TwinTensor(zerosLike: $0.b), scale: $0.scale)
    }
  }

  /// Both A and B random (a fresh adapter has B = 0, which would hide A's gradient). Every value is exact in Float.
  public static func random(
    _ config: TwinConfig, rank: Int, scale: Double, seed: UInt64, targets: [TwinLinear] = TwinLinear.allCases
  ) -> TwinAdapter {
    var random = TwinRandom(seed: seed)
    var modules: [String: TwinLoRA] = [:]
    for block in 0..<config.blockCount {
      for linear in targets {
        let (rows, columns) = linear.shape(config.of(block))
        modules[linear.name(block)] = TwinLoRA(
          a: random.tensor(rank, columns, bound: 0.25), b: random.tensor(rows, rank, bound: 0.25), scale: scale)
      }
    }
    return TwinAdapter(modules)
  }

  /// Sorted, the order of `parameters`.
  public var names: [String] { modules.keys.sorted() }

  /// Every A and B in one row: names ascending, A before B, row-major. Setting needs the same count.
  public var parameters: [Double] {
    get { names.flatMap { name in modules[name].map { $0.a.values + $0.b.values } ?? [] } }
    set {
      var rest = newValue[...]
      for name in names {
        guard var module = modules[name] else { continue }
        module.a.values = Array(rest.prefix(module.a.values.count))
        rest = rest.dropFirst(module.a.values.count)
        module.b.values = Array(rest.prefix(module.b.values.count))
        rest = rest.dropFirst(module.b.values.count)
        precondition(module.b.values.count == module.b.rows * module.b.columns, "too few parameters at '\(name)'")
        modules[name] = module
      }
      precondition(rest.isEmpty, "\(rest.count) parameters too many")
    }
  }

  /// self += scale · other, in A and B.
  public mutating func add(_ other: TwinAdapter, scale: Double = 1) {
    for (name, module) in other.modules {
      modules[name]?.a.add(module.a, scale: scale)
      modules[name]?.b.add(module.b, scale: scale)
    }
  }
}
