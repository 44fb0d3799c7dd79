import Foundation
import Tensors
import TestSupport

/// Folders as other programs write them, and as nobody should.
struct HandmadeFolder {
  let path: String

  init() throws { path = try temporaryFolder() }

  @discardableResult
  func file(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    return path + "/" + name
  }

  func json(_ name: String, _ object: [String: Any]) throws {
    try file(name, try JSONSerialization.data(withJSONObject: object))
  }

  /// A header of these bytes before this much data.
  static func safetensors(header: String, data: [UInt8] = []) -> [UInt8] {
    var bytes: [UInt8] = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    bytes += Array(header.utf8)
    return bytes + data
  }

  struct Tensor {
    var name: String
    var matrix: Matrix
    var format: WeightFormat = .f32
  }

  /// Tensors one behind the other, in this order.
  @discardableResult
  func safetensors(_ name: String, _ tensors: [Tensor]) throws -> String {
    var entries = [#""__metadata__":{"format":"pt"}"#]
    var data: [UInt8] = []
    for tensor in tensors {
      let bytes = tensor.format.encoded(tensor.matrix.values)
      let shape = "[\(tensor.matrix.rows),\(tensor.matrix.columns)]"
      let offsets = "[\(data.count),\(data.count + bytes.count)]"
      let facts = "\"dtype\":\"\(tensor.format.name)\",\"shape\":\(shape),\"data_offsets\":\(offsets)"
      entries.append("\"\(tensor.name)\":{\(facts)}")
      data += bytes
    }
    return try file(name, Self.safetensors(header: "{\(entries.joined(separator: ","))}", data: data))
  }
}
