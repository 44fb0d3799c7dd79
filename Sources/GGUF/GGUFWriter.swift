import Tensors

/// Collects metadata and tensors, then writes them as one GGUF file: version 3, little-endian, in the order they were
/// given, every tensor padded with zeros to 32 bytes. The same calls give the same bytes.
public struct GGUFWriter {
  private struct Tensor {
    let name: String
    let dimensions: [Int]
    let format: WeightFormat
    /// With the padding behind it.
    let bytes: [UInt8]
  }

  private var metadata = GGUFMetadata()
  private var tensors: [Tensor] = []
  private let alignment = GGUFParser.defaultAlignment

  public init() {}

  /// Adds a pair, or replaces the value of an existing key.
  public mutating func set(_ key: String, _ value: GGUFValue) {
    if case .array(let type, let items) = value {
      precondition(type != .array && items.allSatisfy { $0.type == type }, "key \(key): not an array of \(type)")
    }
    metadata.set(key, value)
  }

  /// Adds a tensor. `dimensions` are in file order, the first one varies fastest.
  public mutating func add(name: String, dimensions: [Int], format: WeightFormat, bytes: [UInt8]) {
    let rows = dimensions.dropFirst().reduce(1, *)
    let expected = format.bytes(for: dimensions.first ?? 0).map { $0 * rows }
    precondition(expected == bytes.count, "tensor \(name): \(bytes.count) bytes cannot be \(dimensions) of \(format)")
    tensors.append(Tensor(name: name, dimensions: dimensions, format: format, bytes: withPadding(bytes)))
  }

  /// Adds a tensor of floats.
  public mutating func add(name: String, dimensions: [Int], floats: [Float]) {
    let bytes = floats.map(\.bitPattern.littleEndian).withUnsafeBytes(Array.init)
    add(name: name, dimensions: dimensions, format: .f32, bytes: bytes)
  }

  /// Writes the file whole or not at all; it is read back and compared before it takes its name.
  /// - Throws: `.file` when the system refuses, `.inFile` when the strict reader refuses what was asked for (a name too
  ///   long or given twice, for example), `.notVerified` when the disk returns other bytes.
  public func write(to path: String) throws(GGUFError) {
    let part: PartFile
    do {
      part = try PartFile(replacing: path)
      for chunk in chunks { try part.write(chunk) }
      try part.synchronize()
    } catch {
      throw .file(error)
    }
    try verify(part.path)
    do { try part.commit() } catch { throw .file(error) }
  }

  private func verify(_ part: String) throws(GGUFError) {
    let mapping: MappedFile
    do { mapping = try MappedFile(part) } catch { throw .file(error) }
    do { _ = try GGUFParser(mapping.bytes) } catch { throw .inFile(path: part, error) }
    var position = 0
    for chunk in chunks {
      let end = position + chunk.count
      let isEqual = withExtendedLifetime(mapping) {
        end <= mapping.bytes.count && mapping.bytes[position..<end].elementsEqual(chunk)
      }
      guard isEqual else { throw .notVerified(path: part) }
      position = end
    }
  }

  /// The file in order: everything before the data, then the tensors.
  private var chunks: [[UInt8]] { [withPadding(header)] + tensors.map(\.bytes) }

  private func withPadding(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: padded(bytes.count, alignment) - bytes.count)
  }

  private var header: [UInt8] {
    var out = ByteSink()
    out.bytes += GGUFParser.magic
    out.put(UInt32(3))
    out.put(UInt64(tensors.count))
    out.put(UInt64(metadata.keys.count))
    for key in metadata.keys {
      guard let value = metadata[key] else { continue }
      out.put(key)
      out.put(value.type.rawValue)
      out.put(value)
    }
    var offset = 0
    for tensor in tensors {
      out.put(tensor.name)
      out.put(UInt32(tensor.dimensions.count))
      for size in tensor.dimensions { out.put(UInt64(size)) }
      out.put(tensor.format.typeID)
      out.put(UInt64(offset))
      offset += tensor.bytes.count
    }
    return out.bytes
  }
}
