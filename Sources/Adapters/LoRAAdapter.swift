import Tensors

/// The two factors of one adapted weight: `y += scale · B (A x)`. A reference: the trainer changes it in place.
public final class LoRAModule: @unchecked Sendable {
  /// The base weight's name, `blk.3.attn_q.weight` for example.
  public let name: String
  /// `[R, in]`
  public let a: Matrix
  /// `[out, R]`
  public let b: Matrix
  /// In place of the adapter's alpha; nil takes that. Files have one alpha, see `withOneAlpha`.
  public let alpha: Float?
  public var rank: Int { a.rows }

  public init(name: String, a: Matrix, b: Matrix, alpha: Float? = nil) {
    precondition(a.rows == b.columns, "\(name): A has rank \(a.rows), B \(b.columns)")
    self.name = name
    self.a = a
    self.b = b
    self.alpha = alpha
  }
}

/// A weight that can be adapted: its name, outputs and inputs.
public typealias LoRAShape = (name: String, rows: Int, columns: Int)

/// Low-rank changes to some weights of a frozen model (Hu et al. 2021, arXiv 2106.09685). Knows values, names and
/// shapes; the files are in extensions, the arithmetic is in the model.
public struct LoRAAdapter: Sendable {
  public var architecture: String
  public var alpha: Float
  /// By block, then in the order of `LoRATarget`; head and embedding come last.
  public private(set) var modules: [LoRAModule]
  /// What its file says about where it comes from.
  public var origin: LoRAOrigin

  public init(architecture: String, alpha: Float, modules: [LoRAModule], origin: LoRAOrigin = LoRAOrigin()) {
    self.origin = origin
    self.architecture = architecture
    self.alpha = alpha
    self.modules = modules.sorted { Self.order($0.name) < Self.order($1.name) }
  }

  /// alpha / rank, and 1 when alpha is 0, as llama.cpp has it.
  public func scale(of module: LoRAModule) -> Float { Self.scale(module.alpha ?? alpha, rank: module.rank) }

  private static func scale(_ alpha: Float, rank: Int) -> Float { alpha == 0 ? 1 : alpha / Float(rank) }

  /// An adapter that changes nothing yet: A uniform in ±1/√in, B zero (PEFT's start). Of an embedding it is A that is zero, and B
  /// has variance 1: a token meets one column of A, and a column of small values would learn slowly.
  ///
  /// Each has its own stream, keyed by the seed and the weight's name, so it does not depend on the other targets.
  ///
  /// - Throws: `idlePattern` for an entry of a pattern that names none of the shapes.
  public static func fresh(
    architecture: String, options: LoRAOptions, seed: UInt64, shapes: [LoRAShape]
  ) throws(AdapterError) -> LoRAAdapter {
    try options.rankPattern.requireUse(in: shapes)
    try options.alphaPattern.requireUse(in: shapes)
    let adapterAlpha = options.alpha(rank: options.rank)
    let modules = shapes.map { shape in
      let rank = options.rankPattern.value(of: shape.name) ?? options.rank
      let alpha = options.alpha(rank: rank, of: shape.name)
      return freshModule(shape, rank: rank, alpha: alpha == adapterAlpha ? nil : alpha, seed: seed)
    }
    return LoRAAdapter(architecture: architecture, alpha: adapterAlpha, modules: modules)
  }

  /// The same with one rank and one alpha for all.
  public static func fresh(
    architecture: String, rank: Int, alpha: Float, seed: UInt64, shapes: [LoRAShape]
  ) -> LoRAAdapter {
    LoRAAdapter(
      architecture: architecture, alpha: alpha,
      modules: shapes.map { freshModule($0, rank: rank, alpha: nil, seed: seed) })
  }

  private static func freshModule(_ shape: LoRAShape, rank: Int, alpha: Float?, seed: UInt64) -> LoRAModule {
    precondition(rank > 0, "an adapter cannot have rank \(rank)")
    let stream = CounterRandom(seed: seed, CounterRandom.key(shape.name))
    func uniform(_ rows: Int, _ columns: Int, bound: Double) -> Matrix {
      Matrix(rows, columns, (0..<(rows * columns)).map { Float((2 * stream.uniform(UInt64($0)) - 1) * bound) })
    }
    let isEmbedding = shape.name == LoRATarget.tokenEmbd.tensorName(block: 0)
    let a =
      isEmbedding
      ? Matrix(rank, shape.columns) : uniform(rank, shape.columns, bound: 1 / Double(shape.columns).squareRoot())
    let b = isEmbedding ? uniform(shape.rows, rank, bound: 3.0.squareRoot()) : Matrix(shape.rows, rank)
    return LoRAModule(name: shape.name, a: a, b: b, alpha: alpha)
  }

  /// The same change with one alpha for all modules, as files have it. If they do not agree on one, what is left of a module's own
  /// scale goes into a copy of its B; all other matrices are shared.
  public func withOneAlpha() -> LoRAAdapter {
    let alphas = Set(modules.map { $0.alpha ?? alpha })
    let shared = alphas.count == 1 ? alphas.first ?? alpha : alpha
    let folded = modules.map { module in
      let factor = scale(of: module) / Self.scale(shared, rank: module.rank)
      guard factor != 1 else { return LoRAModule(name: module.name, a: module.a, b: module.b) }
      let b = module.b.copy()
      for i in 0..<b.count { b.pointer[i] *= factor }
      return LoRAModule(name: module.name, a: module.a, b: b)
    }
    return LoRAAdapter(architecture: architecture, alpha: shared, modules: folded, origin: origin)
  }

  /// True for a fresh adapter: with A or B zero the model is the base.
  public var changesNothing: Bool {
    modules.allSatisfy { module in
      [module.b, module.a].contains { $0.buffer.span.allSatisfy { $0 == 0 } }
    }
  }

  /// The same values in memory of their own.
  public func copy() -> LoRAAdapter {
    let modules = modules.map { LoRAModule(name: $0.name, a: $0.a.copy(), b: $0.b.copy(), alpha: $0.alpha) }
    return LoRAAdapter(architecture: architecture, alpha: alpha, modules: modules, origin: origin)
  }

  // MARK: Checks

  /// Whether this adapter belongs to a model of that architecture with those adaptable layers.
  /// - Throws: `architecture`, `notInModel` or `shape`.
  public func check(architecture model: String, layers: [LoRAShape]) throws(AdapterError) {
    guard architecture == model else { throw .architecture(adapter: architecture, model: model) }
    let known = Dictionary(layers.map { ($0.name, [$0.rows, $0.columns]) }, uniquingKeysWith: { first, _ in first })
    for module in modules {
      guard let wanted = known[module.name] else { throw .notInModel(tensor: module.name) }
      let found = [module.b.rows, module.a.columns]
      guard found == wanted else { throw .shape(tensor: module.name, adapter: found, model: wanted) }
    }
  }

  /// Whether every value can be computed with.
  /// - Throws: `badAlpha` or `notFinite`.
  public func checkFinite() throws(AdapterError) {
    for alpha in [alpha] + modules.compactMap(\.alpha) where !alpha.isFinite { throw .badAlpha(alpha) }
    for module in modules {
      for (suffix, matrix) in [(".lora_a", module.a), (".lora_b", module.b)] {
        if let index = matrix.buffer.span.firstIndex(where: { !$0.isFinite }) {
          throw .notFinite(tensor: module.name + suffix, index: index)
        }
      }
    }
  }

  // MARK: Fingerprint

  /// The adapter as bytes that two machines agree on, for fingerprints: every count and length as 64 bits, then
  /// architecture, alpha, per module name, shapes, A and B, and at last name and alpha of the modules that have their own; all
  /// little-endian.
  public var canonicalBytes: [UInt8] {
    var bytes: [UInt8] = []
    func put(_ value: some FixedWidthInteger) {
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    func put(_ text: String) {
      put(UInt64(text.utf8.count))
      bytes.append(contentsOf: text.utf8)
    }
    put(architecture)
    put(alpha.bitPattern)
    put(UInt64(modules.count))
    for module in modules {
      put(module.name)
      for matrix in [module.a, module.b] {
        put(UInt64(matrix.rows))
        put(UInt64(matrix.columns))
        bytes.append(contentsOf: matrix.littleEndianBytes)
      }
    }
    for module in modules {
      guard let alpha = module.alpha else { continue }
      put(module.name)
      put(alpha.bitPattern)
    }
    return bytes
  }

  /// Blocks in numeric order, then targets; the head, and whatever is neither, comes last, by name.
  private static func order(_ name: String) -> (Int, Int, String) {
    guard let (block, target) = LoRATarget.parse(tensorName: name), let block else { return (.max, .max, name) }
    return (block, LoRATarget.allCases.firstIndex(of: target) ?? .max, name)
  }
}

extension Matrix {
  /// The floats row by row.
  var littleEndianBytes: [UInt8] { values.map(\.bitPattern.littleEndian).withUnsafeBytes(Array.init) }
}
