import Adapters
import Foundation
import GGUF
import Tensors
import Tokenization

/// The bytes as a GGUF file: its structure, its values by every accessor, its tensors, its tokenizer, its template, and
/// the adapter in it.
enum Files {
  /// In memory where the system has such a folder.
  private static let path: String = {
    let folder = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    return "\(folder)/parley-fuzz-\(ProcessInfo.processInfo.processIdentifier).gguf"
  }()

  static func open(_ bytes: [UInt8]) {
    let out = fopen(path, "wb")
    fwrite(bytes, 1, bytes.count, out)
    fclose(out)
    _ = try? LoRAAdapter.read(gguf: path)
    guard let file = try? GGUFFile.open(path) else { return }
    for tensor in file.tensors {
      guard tensor.byteCount == file.bytes(of: tensor).count else { fatalError("\(tensor) is not where it says") }
      if tensor.elementCount < 1 << 20 { _ = try? file.floats(tensor.name) }
      _ = try? file.weight(tensor.name)
    }
    read(file.metadata)
    Texts.encode(sample, file.metadata)
    if let template = try? ChatTemplate.inFile(file.metadata) { Templates.render(template) }
  }

  private static let sample = Array("Hello, wörld 1234!\n\n  \t<s>it's</s> 🙂".utf8)

  private static func read(_ metadata: GGUFMetadata) {
    for key in metadata.keys {
      _ = try? metadata.string(key)
      _ = try? metadata.positive(key)
      _ = try? metadata.float(key)
      _ = try? metadata.bool(key)
      _ = try? metadata.strings(key)
      _ = try? metadata.ints(key)
      _ = try? metadata.floats(key)
    }
  }
}
