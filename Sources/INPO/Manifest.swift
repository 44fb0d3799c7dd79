/// `manifest.json`: what a run was made from and where, so that it can be told apart from every other.

import Foundation
import Tensors

public struct Manifest: Codable, Equatable, Sendable {
  public struct File: Codable, Equatable, Sendable {
    public var path: String
    public var bytes: Int
    public var sha256: String

    public init(path: String, bytes: Int, sha256: String) {
      self.path = path
      self.bytes = bytes
      self.sha256 = sha256
    }

    /// Reads the whole file once, or all its parts.
    public init(of path: String, parts: [String]? = nil) throws {
      let parts = parts ?? [path]
      let bytes = parts.reduce(0) { $0 + (FileSystem.size($1) ?? 0) }
      self.init(path: path, bytes: bytes, sha256: try Fingerprint.of(files: parts))
    }
  }

  public var model: File
  /// By role: "prompts", "heldout", "reference", "oracle", and at the end "adapter".
  public var files: [String: File]
  public var parley: String
  public var precision: String
  public var kernels: String
  public var threads: Int
  public var host: Host

  public struct Host: Codable, Equatable, Sendable {
    public var system: String
    public var processors: Int
    public var memoryMiB: Int

    enum CodingKeys: String, CodingKey {
      case system, processors
      case memoryMiB = "memory_mib"
    }

    public init(system: String, processors: Int, memoryMiB: Int) {
      self.system = system
      self.processors = processors
      self.memoryMiB = memoryMiB
    }

    public static var current: Host {
      let info = ProcessInfo.processInfo
      return Host(
        system: info.operatingSystemVersionString, processors: info.activeProcessorCount,
        memoryMiB: Int(info.physicalMemory >> 20))
    }
  }

  public init(
    model: File, files: [String: File] = [:], parley: String, precision: String, kernels: String, threads: Int,
    host: Host = .current
  ) {
    self.model = model
    self.files = files
    self.parley = parley
    self.precision = precision
    self.kernels = kernels
    self.threads = threads
    self.host = host
  }

  /// The first file of a run that is not what `earlier` says it was.
  func changed(since earlier: Manifest) -> String? {
    if model.sha256 != earlier.model.sha256 { return model.path }
    return files.sorted { $0.key < $1.key }.first { role, file in
      earlier.files[role].map { $0.sha256 != file.sha256 } ?? false
    }?.value.path
  }

  public func write(to path: String) throws { try PrettyJSON.write(self, to: path) }

  public static func read(_ path: String) throws -> Manifest {
    try JSONDecoder().decode(Manifest.self, from: Data(AtomicFile.read(path)))
  }
}

/// JSON for people: indented, keys sorted, written whole or not at all.
enum PrettyJSON {
  static func write(_ value: some Encodable, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    var data = try encoder.encode(value)
    data.append(UInt8(ascii: "\n"))
    try AtomicFile.write(data, to: path)
  }
}
