import Tensors

/// What must be known of a model to read an adapter for it: Hugging Face's files name neither architecture nor order of rows.
public struct LoRABase: Sendable {
  public let architecture: String
  /// As its file has it; for hints only.
  public let name: String?
  /// Width of a head.
  public let headDim: Int
  /// Which rows of a head turn together in its GGUF file; Hugging Face's models turn halves.
  public let pairs: RotaryPairs
  /// Every layer that an adapter can change.
  public let layers: [LoRAShape]
  /// One matrix is embedding and head, so neither is among the layers.
  public let isTied: Bool

  public init(
    architecture: String, name: String?, headDim: Int, pairs: RotaryPairs, layers: [LoRAShape], isTied: Bool
  ) {
    self.architecture = architecture
    self.name = name
    self.headDim = headDim
    self.pairs = pairs
    self.layers = layers
    self.isTied = isTied
  }

  /// Whether a name of a model means this one as far as can be told: hubs and files spell names in their own ways.
  func isCalled(_ other: String) -> Bool {
    func letters(_ name: String) -> String {
      (name.split(separator: "/").last ?? "").lowercased().filter { $0.isLetter || $0.isNumber }
    }
    return name.map { letters($0) == letters(other) } ?? false
  }
}

extension LoRAAdapter {
  /// Whether this adapter belongs to the model.
  /// - Throws: `architecture`, `notInModel`, `tied` or `shape`; within `otherBase` when the adapter names another model.
  public func check(_ base: LoRABase) throws(AdapterError) {
    do throws(AdapterError) {
      let outside = [LoRATarget.output, .tokenEmbd].filter { target in
        modules.contains { $0.name == target.tensorName(block: 0) }
      }
      if base.isTied, let target = outside.first { throw .tied(target.rawValue) }
      try check(architecture: base.architecture, layers: base.layers)
    } catch {
      guard let made = origin.base, !base.isCalled(made) else { throw error }
      throw .otherBase(made: made, model: base.name, error)
    }
  }
}
