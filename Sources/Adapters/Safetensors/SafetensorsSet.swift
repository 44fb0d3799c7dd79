/// The tensors of a folder: one safetensors file, or several with an index that says which tensor is where.

import Foundation
import Tensors

struct SafetensorsSet {
  /// The file, or the index.
  let path: String
  private let files: [String: SafetensorsFile]

  var names: [String] { files.keys.sorted() }

  /// - Parameters:
  ///   - stem: `adapter_model` for example.
  ///   - pickles: the name under which older programs save the same as a pickle.
  init(folder: String, stem: String, pickle: String? = nil) throws(SafetensorsError) {
    let single = "\(folder)/\(stem).safetensors"
    let index = single + ".index.json"
    let hasIndex = FileSystem.exists(index)
    if hasIndex && FileSystem.exists(single) { throw .both(file: single, index: index) }
    if let pickle, !hasIndex, !FileSystem.exists(single), FileSystem.exists("\(folder)/\(pickle)") {
      throw .pickled(path: "\(folder)/\(pickle)")
    }
    if hasIndex {
      path = index
      files = try Self.files(index, folder)
    } else {
      path = single
      let file = try SafetensorsFile(single)
      files = file.tensors.mapValues { _ in file }
    }
  }

  func matrix(_ name: String) throws(SafetensorsError) -> Matrix {
    guard let file = files[name] else { throw .missing(path: path, tensor: name) }
    return try file.matrix(name)
  }

  private struct Index: Decodable {
    // swift-format-ignore: AlwaysUseLowerCamelCase
    let weight_map: [String: String]
  }

  private static func files(_ path: String, _ folder: String) throws(SafetensorsError) -> [String: SafetensorsFile] {
    let bytes: [UInt8]
    do { bytes = try AtomicFile.read(path) } catch { throw .file(error) }
    guard let places = try? JSONDecoder().decode(Index.self, from: Data(bytes)).weight_map else {
      throw .index(path: path)
    }
    // No name may lead out of the folder: it comes from whoever made the adapter.
    for name in Set(places.values).sorted() {
      let isPlain = !name.contains { $0 == "/" || $0 == "\\" || $0 == "\0" } && !name.hasPrefix(".")
      guard isPlain, name.hasSuffix(".safetensors") else { throw .shardName(path: path, name: name) }
    }
    var opened: [String: SafetensorsFile] = [:]
    for name in Set(places.values).sorted() {
      let file = try SafetensorsFile("\(folder)/\(name)")
      opened[name] = file
      for tensor in file.tensors.keys.sorted() where places[tensor] != name {
        throw .unlisted(path: file.path, tensor: tensor)
      }
    }
    var files: [String: SafetensorsFile] = [:]
    for (tensor, name) in places.sorted(by: { $0.key < $1.key }) {
      guard let file = opened[name], file.tensors[tensor] != nil else {
        throw .missing(path: "\(folder)/\(name)", tensor: tensor)
      }
      files[tensor] = file
    }
    return files
  }
}
