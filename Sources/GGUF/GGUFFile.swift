import Tensors

/// A GGUF file, mapped read-only and checked. Tensors are views into the mapping, which lives as long as any of them.
///
/// Versions 2 and 3, little-endian, one file or all parts of a split one. No file may be shortened while it is open.
public final class GGUFFile: Sendable {
  /// As it was given: of a split model, any part.
  public let path: String
  public let metadata: GGUFMetadata
  /// In file order, part by part.
  public let tensors: [GGUFTensor]
  /// Every file of the model, in order.
  public var paths: [String] { parts.map(\.path) }

  private let parts: [GGUFPart]
  private let places: [String: (part: Int, index: Int)]

  /// Opens and checks the whole structure; no tensor data is read.
  /// - Throws: `GGUFError`: `.file` when the system refuses, else `.inFile` with what is wrong.
  public static func open(_ path: String) throws(GGUFError) -> GGUFFile {
    GGUFFile(path, try GGUFPart.all(of: GGUFPart(path)))
  }

  /// - Parameter parts: with different tensors.
  private init(_ path: String, _ parts: [GGUFPart]) {
    self.path = path
    self.parts = parts
    metadata = parts[0].metadata
    tensors = parts.flatMap(\.tensors)
    let places = parts.enumerated().flatMap { number, part in
      part.tensors.enumerated().map { ($1.name, (part: number, index: $0)) }
    }
    self.places = Dictionary(places, uniquingKeysWith: { first, _ in first })
  }

  public func tensor(_ name: String) -> GGUFTensor? { places[name].map { parts[$0.part].tensors[$0.index] } }

  /// The bytes of one of this file's tensors, where they lie. Valid as long as this file is held.
  public func bytes(of tensor: GGUFTensor) -> UnsafeRawBufferPointer { part(of: tensor.name).bytes(of: tensor) }

  private func part(of name: String) -> GGUFPart {
    guard let place = places[name] else { preconditionFailure("'\(name)' is not a tensor of '\(path)'") }
    return parts[place.part]
  }

  /// A tensor as a matrix: the first dimension is the columns, the second the rows. One dimension is one row.
  /// - Throws: `missingTensor`, `unsupportedFormat`, or `notMatrix` when it has more than two dimensions.
  public func weight(_ name: String) throws(GGUFError) -> WeightView {
    guard let tensor = tensor(name) else { throw .missingTensor(name) }
    guard let format = tensor.format else { throw .unsupportedFormat(tensor: name, format: tensor.formatName) }
    guard tensor.dimensions.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      throw .notMatrix(tensor: name, dimensions: tensor.dimensions)
    }
    return WeightView(
      name: name, format: format, rows: tensor.dimensions.dropFirst().first ?? 1, columns: tensor.dimensions[0],
      bytes: bytes(of: tensor), owner: part(of: name).mapping)
  }

  /// A copy of a tensor of any shape as floats; for small ones such as norms.
  /// - Throws: `missingTensor` or `unsupportedFormat`.
  public func floats(_ name: String) throws(GGUFError) -> Buffer<Float> {
    guard let tensor = tensor(name) else { throw .missingTensor(name) }
    guard let format = tensor.format else { throw .unsupportedFormat(tensor: name, format: tensor.formatName) }
    let values = Buffer<Float>(count: tensor.elementCount)
    if let source = bytes(of: tensor).baseAddress {
      dequantize(values.pointer, from: source, format: format, count: values.count)
    }
    return values
  }

  /// Asks the system to start reading the tensors into memory, and returns at once. For whoever will need them all.
  public func prefetch() {
    for part in parts { part.mapping.prefetch(from: part.dataStart) }
  }
}
