import Foundation
import GGUF
import Tokenization

/// Files and values the tests of this folder share.
enum Fixture {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  struct MissingModel: Error, CustomStringConvertible {
    let path: String
    var description: String { "\(path) is not there. Run `make weights`, then the tests again." }
  }

  /// Metadata of the small real model; a missing file is a failure, not a reason to skip.
  static func smolLM2() throws -> GGUFMetadata {
    let path = root.appendingPathComponent("weights/SmolLM2-135M-Instruct.Q4_1.gguf").path
    guard FileManager.default.fileExists(atPath: path) else { throw MissingModel(path: path) }
    return try GGUFFile.open(path).metadata
  }

  static func read<Content: Decodable>(_ name: String, as type: Content.Type = Content.self) throws -> Content {
    let url = root.appendingPathComponent("Tests/Fixtures/\(name)")
    return try JSONLines.decode(type, from: Data(contentsOf: url))
  }

  /// The 256 characters of the byte alphabet, written out once more and differently from the product.
  static let byteCharacters: [String] = {
    let printable = Array(33...126) + Array(161...172) + Array(174...255)
    let others = (0...255).filter { !printable.contains($0) }
    return (0...255).map { byte in
      let value = printable.contains(byte) ? byte : 256 + (others.firstIndex(of: byte) ?? 0)
      return String(UnicodeScalar(UInt32(value)) ?? "?")
    }
  }()

  /// A vocabulary of the single bytes (id = byte), then `extra`, then control tokens.
  static func vocabulary(
    merges: [String] = [], extra: [String] = [], control: [String] = [], user: [String] = [], pre: String? = "gpt-2"
  ) -> TokenizerVocabulary {
    let plain = byteCharacters + merges.map { $0.replacingOccurrences(of: " ", with: "") } + extra
    return TokenizerVocabulary(
      pre: pre, tokens: plain + control + user,
      types: plain.map { _ in 1 } + control.map { _ in 3 } + user.map { _ in 4 }, merges: merges)
  }
}
