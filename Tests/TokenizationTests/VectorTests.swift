import Foundation
import GGUF
import Tensors
import Testing
import Tokenization

/// The vocabulary-only files of llama.cpp and the ids that Hugging Face's tokenizers gave for their texts. The files are
/// not in the repository: PARLEY_VOCABULARIES names the folder that holds them (`make test-vocabularies`).
struct VectorTests {
  private static let folder = ProcessInfo.processInfo.environment["PARLEY_VOCABULARIES"]

  @Test(
    .enabled(if: ProcessInfo.processInfo.environment["PARLEY_VOCABULARIES"] != nil),
    arguments: [
      "llama-bpe", "llama-spm", "phi-3", "qwen2", "qwen35", "gpt-2", "mpt", "starcoder", "refact",
      "deepseek-llm",
      "deepseek-coder",
    ])
  func idsEqualThePublishedOnes(name: String) throws {
    let path = try #require(Self.folder) + "/ggml-vocab-\(name).gguf"
    let tokenizer = try Tokenizer(GGUFFile.open(path).metadata)
    let texts = try String(contentsOfFile: path + ".inp", encoding: .utf8)
    let answers = try String(contentsOfFile: path + ".out", encoding: .utf8)
    // One text after the other with a line of this between; one line of ids a text.
    let inputs = texts.components(separatedBy: "\n__ggml_vocab_test__\n")
    let lines = answers.components(separatedBy: "\n")
    #expect(inputs.count > 40)
    for (text, line) in zip(inputs, lines) {
      let wanted = line.split(separator: " ").compactMap { TokenID($0) }
      let got = tokenizer.encode(text, parseSpecial: false)
      #expect(got == wanted, "\(text.debugDescription)")
      #expect(Array(tokenizer.decode(got, skipSpecial: false).utf8) == Array(text.utf8), "\(text.debugDescription)")
    }
  }
}
