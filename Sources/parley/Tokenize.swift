import ArgumentParser
import Foundation
import GGUF
import Tensors
import Tokenization

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Show a text's token ids and pieces.")

  @Argument(help: ArgumentHelp("A model in GGUF.", valueName: "model"))
  var path: String

  @Option(help: "The text.")
  var text: String?

  @Option(help: "A file with the text, UTF-8.")
  var file: String?

  @Flag(help: "Read the names of special tokens in the text as these tokens.")
  var parseSpecial = false

  @Flag(help: "Ids only, on one line.")
  var ids = false

  @Flag(help: "One JSON object: ids and pieces.")
  var json = false

  @OptionGroup var splitting: PreTokenizerOption

  func check() throws {
    if (text == nil) == (file == nil) { throw ValidationError("Give either --text or --file.") }
    if ids && json { throw ValidationError("--ids and --json exclude each other.") }
  }

  private struct Result: Encodable {
    let ids: [TokenID]
    let pieces: [String]
  }

  func run() throws {
    try check()
    let tokenizer = try Tokenizer(GGUFFile.open(path).metadata, forcing: splitting.pre)
    let tokens = tokenizer.encode(try content(), parseSpecial: parseSpecial)
    if json {
      try Output.json(Result(ids: tokens, pieces: tokens.map(tokenizer.piece)))
    } else if ids {
      try Output.line(tokens.map(String.init).joined(separator: " "))
    } else {
      for token in tokens { try Output.line("\(token)\t\(tokenizer.piece(token).debugDescription)") }
    }
  }

  private func content() throws -> String {
    if let text { return text }
    let path = file ?? ""
    guard let text = String(bytes: try AtomicFile.read(path), encoding: .utf8) else {
      throw Failure(.badData, "'\(path)' is not UTF-8. Convert it first.")
    }
    return text
  }
}
