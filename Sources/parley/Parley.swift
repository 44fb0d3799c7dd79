import ArgumentParser

@main
struct Parley: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parley", abstract: "Sample, score and align LLaMA-family GGUF models on CPUs.")
}
