/// Reads one safetensors file: a length, a JSON header of names, types, shapes and offsets, then the data. Facts: the format's
/// specification. Stricter than needed to find the data: tensors must cover it without overlap or hole, as the specification says.

import Foundation
import Tensors

final class SafetensorsFile {
  struct Tensor {
    let type: String
    let shape: [Int]
    /// Bytes from the start of the file.
    let place: Range<Int>
  }

  let path: String
  let tensors: [String: Tensor]
  private let mapping: MappedFile

  /// A hundred thousand tensors with names of a hundred letters; adapters have some hundreds.
  private static let headerLimit = 16 << 20

  /// Checks the whole header; no data is read.
  init(_ path: String) throws(SafetensorsError) {
    self.path = path
    do { mapping = try MappedFile(path) } catch { throw .file(error) }
    tensors = try Self.tensors(in: mapping.bytes, path)
  }

  /// A matrix of F32, F16 or BF16 as floats.
  func matrix(_ name: String) throws(SafetensorsError) -> Matrix {
    guard let tensor = tensors[name] else { throw .missing(path: path, tensor: name) }
    guard let format = Self.formats[tensor.type] else { throw .type(path: path, tensor: name, type: tensor.type) }
    guard tensor.shape.count == 2, tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw .notMatrix(path: path, tensor: name, shape: tensor.shape)
    }
    let out = Matrix(tensor.shape[0], tensor.shape[1])
    // A copy, because the data of a file from elsewhere may lie at odd addresses.
    let bytes = Buffer<UInt8>(count: tensor.place.count)
    UnsafeMutableRawBufferPointer(bytes.span).copyBytes(from: mapping.bytes[tensor.place])
    dequantize(out.pointer, from: bytes.pointer, format: format, count: out.count)
    return out
  }

  private static let formats: [String: WeightFormat] = ["F32": .f32, "F16": .f16, "BF16": .bf16]

  /// Bytes of a value of every type that the specification has, so that a tensor nobody asks for is checked too.
  private static let sizes: [String: Int] = [
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4,
    "I32": 4,
    "F32": 4, "U64": 8, "I64": 8, "F64": 8,
  ]

  // MARK: The header

  /// What stands under one name of the header. Under `__metadata__` there are texts, which nobody asks for.
  private enum Entry: Decodable {
    struct Facts: Decodable {
      let dtype: String
      let shape: [Int]
      // swift-format-ignore: AlwaysUseLowerCamelCase
      let data_offsets: [Int]
    }

    case tensor(Facts)
    case texts

    init(from decoder: any Decoder) throws {
      if decoder.codingPath.last?.stringValue == "__metadata__" {
        _ = try [String: String](from: decoder)
        self = .texts
      } else {
        self = .tensor(try Facts(from: decoder))
      }
    }
  }

  private static func tensors(in bytes: UnsafeRawBufferPointer, _ path: String) throws(SafetensorsError)
    -> [String: Tensor]
  {
    if isPickle(bytes) { throw .pickled(path: path) }
    let left = max(0, bytes.count - 8)
    let length = bytes.count < 8 ? 0 : UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    let limit = min(left, headerLimit)
    guard length > 0, let size = Int(exactly: length), size <= limit else {
      throw .headerLength(path: path, length: length, limit: limit)
    }
    let header = Data(bytes[8..<(8 + size)])
    guard header.first == UInt8(ascii: "{"),
      let entries = try? JSONDecoder().decode([String: Entry].self, from: header)
    else { throw .header(path: path) }

    let start = 8 + size
    var tensors: [String: Tensor] = [:]
    for case (let name, .tensor(let facts)) in entries {
      let place = try place(of: facts, name, within: bytes.count - start, path)
      tensors[name] = Tensor(
        type: facts.dtype, shape: facts.shape, place: (start + place.lowerBound)..<(start + place.upperBound))
    }
    try checkCover(tensors, start..<bytes.count, path)
    return tensors
  }

  /// The data of a tensor, from the start of all data.
  private static func place(
    of facts: Entry.Facts, _ name: String, within available: Int, _ path: String
  ) throws(SafetensorsError) -> Range<Int> {
    guard let size = sizes[facts.dtype] else { throw .type(path: path, tensor: name, type: facts.dtype) }
    var needs = size
    for dimension in facts.shape {
      let (product, overflow) = needs.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else { throw .shape(path: path, tensor: name, shape: facts.shape) }
      needs = product
    }
    let offsets = facts.data_offsets
    guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= available else {
      throw .trailing(path: path, ends: offsets.last ?? 0, has: available)
    }
    guard offsets[1] - offsets[0] == needs else {
      throw .length(path: path, tensor: name, needs: needs, has: offsets[1] - offsets[0])
    }
    return offsets[0]..<offsets[1]
  }

  private static func checkCover(
    _ tensors: [String: Tensor], _ data: Range<Int>, _ path: String
  ) throws(SafetensorsError) {
    var end = data.lowerBound
    let inOrder = tensors.sorted {
      ($0.value.place.lowerBound, $0.value.place.upperBound, $0.key)
        < ($1.value.place.lowerBound, $1.value.place.upperBound, $1.key)
    }
    for (name, tensor) in inOrder {
      guard tensor.place.lowerBound == end else {
        throw .offsets(
          path: path, tensor: name, start: tensor.place.lowerBound - data.lowerBound, expected: end - data.lowerBound)
      }
      end = tensor.place.upperBound
    }
    guard end == data.upperBound else {
      throw .trailing(path: path, ends: end - data.lowerBound, has: data.count)
    }
  }

  /// What torch saves is a zip archive of a pickle, or was a pickle itself.
  private static func isPickle(_ bytes: UnsafeRawBufferPointer) -> Bool {
    // A header of such a length begins with its brace; what follows a pickle's version is an opcode.
    let isJSON = bytes.count > 8 && bytes[8] == UInt8(ascii: "{")
    return bytes.starts(with: [0x50, 0x4B, 0x03, 0x04])
      || !isJSON && bytes.count > 1 && bytes[0] == 0x80 && (2...5).contains(bytes[1])
  }
}
