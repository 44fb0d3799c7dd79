import GGUF
import Tensors

/// Takes tensors out of a model file, checks their shapes, and remembers which were asked for: one that nobody wants would have
/// changed the results of a program that knows it.
final class TensorReader {
  private let file: GGUFFile
  private var read = Set<String>()

  init(_ file: GGUFFile) { self.file = file }

  func has(_ name: String) -> Bool { file.tensor(name) != nil }

  /// - Parameter rows: nil takes any number.
  func weight(_ name: String, _ rows: Int?, _ columns: Int) throws -> WeightView {
    let view = try file.weight(name)
    guard view.columns == columns, view.rows == rows ?? view.rows else {
      throw LlamaError.shape(tensor: name, found: [view.rows, view.columns], expected: [rows ?? view.rows, columns])
    }
    read.insert(name)
    return view
  }

  func floats(_ name: String, _ count: Int) throws -> Buffer<Float> {
    guard let tensor = file.tensor(name) else { throw GGUFError.missingTensor(name) }
    guard tensor.elementCount == count else {
      throw LlamaError.shape(tensor: name, found: [tensor.elementCount], expected: [count])
    }
    read.insert(name)
    return try file.floats(name)
  }

  func optionalFloats(_ name: String, _ count: Int) throws -> Buffer<Float>? {
    has(name) ? try floats(name, count) : nil
  }

  /// What the rotary frequencies are divided by, with the tensor's name. Of longrope's two lists the context chooses, so that
  /// a sequence has the same angles at every length.
  func ropeDivisors(_ config: LlamaConfig, context: Int) throws -> (name: String, values: Buffer<Float>)? {
    func divisors(_ name: String) throws -> (name: String, values: Buffer<Float>)? {
      try optionalFloats(name, config.headDim / 2).map { (name, $0) }
    }
    guard case .longrope(let original) = config.rope.scaling else { return try divisors(TensorName.ropeFreqs) }
    guard let short = try divisors(TensorName.ropeFactorsShort), let long = try divisors(TensorName.ropeFactorsLong)
    else {
      let lacksShort = !has(TensorName.ropeFactorsShort)
      throw GGUFError.missingTensor(lacksShort ? TensorName.ropeFactorsShort : TensorName.ropeFactorsLong)
    }
    return context > original ? long : short
  }

  /// - Throws: `LlamaError.strayTensor` with the first tensor that was not asked for.
  func refuseTheRest() throws {
    if let stray = file.tensors.first(where: { !read.contains($0.name) && !$0.name.contains(Self.oldRotation) }) {
      throw LlamaError.strayTensor(stray.name)
    }
  }

  /// Frequencies that old converters copied and no program reads.
  private static let oldRotation = ".attn_rot_embd"
}
