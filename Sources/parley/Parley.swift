import ArgumentParser

@main
struct Parley: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parley", abstract: "Sample, score and align LLaMA-family GGUF models on CPUs.",
    subcommands: [
      Inspect.self, Tokenize.self, Chat.self, Generate.self, Score.self, MeasurePerplexity.self, Judge.self,
      Evaluate.self,
      EvaluateChoices.self, Export.self, Verify.self, Bench.self, Game.self, Train.self, Align.self,
    ])

  /// Wrong usage is the argument parser's to report; everything a command throws has its sentence and exit code in
  /// `Failure`.
  static func main() async {
    var command: any ParsableCommand
    do {
      command = try parseAsRoot()
    } catch {
      exit(withError: error)
    }
    Interrupt.listen()
    LostFile.listen()
    do {
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      Failure.end(with: error, in: type(of: command))
    }
  }

  /// How this program was called, for commands that the user can copy.
  static var invocation: String { CommandLine.arguments.first ?? "parley" }

  func run() throws { throw CleanExit.helpRequest(self) }
}
