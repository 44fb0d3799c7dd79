import Tensors

/// A GGUF file, mapped read-only and checked. Tensors are views into the mapping, which lives as long as any of them.
///
/// Versions 2 and 3, little-endian, one file. The file must not be shortened while it is open.
public final class GGUFFile: Sendable {
  public let path: String
  public let metadata: GGUFMetadata
  /// In file order.
  public let tensors: [GGUFTensor]

  private let mapping: MappedFile
  private let dataStart: Int
  private let indexByName: [String: Int]

  /// Opens and checks the whole structure; no tensor data is read.
  /// - Throws: `GGUFError`: `.file` when the system refuses, else `.inFile` with what is wrong.
  public static func open(_ path: String) throws(GGUFError) -> GGUFFile {
    let mapping: MappedFile
    do { mapping = try MappedFile(path) } catch { throw .file(error) }
    do {
      return GGUFFile(path, mapping, try GGUFParser(mapping.bytes))
    } catch {
      throw .inFile(path: path, error)
    }
  }

  private init(_ path: String, _ mapping: MappedFile, _ parser: GGUFParser) {
    self.path = path
    self.mapping = mapping
    metadata = parser.metadata
    tensors = parser.tensors
    dataStart = parser.dataStart
    indexByName = Dictionary(uniqueKeysWithValues: zip(parser.tensors.map(\.name), parser.tensors.indices))
  }

  public func tensor(_ name: String) -> GGUFTensor? { indexByName[name].map { tensors[$0] } }

  /// The bytes of one of this file's tensors, where they lie. Valid as long as this file is held.
  public func bytes(of tensor: GGUFTensor) -> UnsafeRawBufferPointer {
    let start = dataStart + tensor.offset
    return UnsafeRawBufferPointer(rebasing: mapping.bytes[start..<(start + tensor.byteCount)])
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
      bytes: bytes(of: tensor), owner: mapping)
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
  public func prefetch() { mapping.prefetch(from: dataStart) }
}
