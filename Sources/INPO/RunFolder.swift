/// Where the files of a run lie. A phase is done when its file is there; files are written whole or not at all.

import Foundation
import Tensors

public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public var config: String { path + "/config.yaml" }
  public var manifest: String { path + "/manifest.json" }
  public var adapter: String { path + "/adapter.gguf" }
  public var report: String { path + "/report.json" }

  /// Round `number`, from 1.
  public func round(_ number: Int) -> Round { Round(path: "\(path)/round-\(number)") }

  public struct Round: Sendable {
    public let path: String
    public var responses: String { path + "/responses.jsonl" }
    public var pairs: String { path + "/pairs.jsonl" }
    public var metrics: String { path + "/metrics.jsonl" }
    public var adapter: String { path + "/adapter.gguf" }
    /// What the round achieved and how long its phases took.
    public var summary: String { path + "/summary.json" }
  }

  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// Makes the folder and its parents; one that exists is fine.
  public static func create(_ path: String) throws(FileError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .refused(action: "create", path: path, code: (error as NSError).posixCode)
    }
  }
}

extension NSError {
  /// The `errno` behind a Cocoa error, 0 when there is none.
  fileprivate var posixCode: Int32 {
    let inner = userInfo[NSUnderlyingErrorKey] as? NSError
    return Int32(truncatingIfNeeded: inner?.code ?? 0)
  }
}
