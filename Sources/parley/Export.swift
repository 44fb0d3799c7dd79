import Adapters
import ArgumentParser
import Foundation
import GGUF
import Llama

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write an adapter as a GGUF file or a PEFT folder.",
    discussion: "Both load in llama.cpp (gguf) and PEFT (peft) as they are.")

  enum Target: String, ExpressibleByArgument, CaseIterable {
    case gguf, peft
  }

  @Argument(help: ArgumentHelp("The adapter, in GGUF.", valueName: "adapter"))
  var path: String

  @Option(help: "The model the adapter was trained on; it is checked against it.")
  var model: String

  @Option(help: "What to write.")
  var to: Target

  @Option(help: "The file (gguf) or folder (peft) to write.")
  var out: String

  func run() throws {
    let adapter = try LoRAAdapter.read(gguf: path)
    let base = try LlamaModel(
      GGUFFile.open(model), precision: .int16, kernels: Session.kernels(threads: nil), context: 1)
    try adapter.check(architecture: base.config.architecture.name, layers: base.adaptable)
    switch to {
    case .gguf: try adapter.write(gguf: out)
    case .peft:
      try adapter.writePEFT(
        folder: out, headDim: base.config.headDim, pairs: base.config.architecture.rotaryPairs, baseName: nil)
    }
    note("Wrote \(adapter.modules.count) adapted layers to '\(out)'.")
  }
}
