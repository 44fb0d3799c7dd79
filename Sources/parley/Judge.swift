import ArgumentParser
import Oracles
import Tensors
import Tokenization

extension PairMode: ExpressibleByArgument {}

struct Judge: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn sampled answers into preference pairs.",
    discussion: "Prints a JSON line for each pair. Oracles: \(Oracle.known.joined(separator: ", ")).")

  @Option(help: "Who judges.")
  var oracle: String

  @Option(help: "JSON lines with `responses`, as `parley generate -n 8` writes them.")
  var data: String

  @Option(help: "Best against worst by tournament, or independent pairs with drawn (iid) or soft labels.")
  var pairs: PairMode = .tournament

  @Option(parsing: .unconditional, help: "Independent pairs of a prompt, at most half its answers. Default: 1.")
  var perPrompt: Int?

  @Option(parsing: .unconditional, help: "Seed of the independent pairs. Default: 1.")
  var seed: UInt64?

  @Option(help: "Write the pairs into this file instead, whole or not at all.")
  var out: String?

  @Flag(help: "No progress and no counts.")
  var quiet = false

  func check() throws {
    if let perPrompt { try Allowed.repetitions.check(perPrompt, of: "--per-prompt") }
    if pairs == .tournament && (perPrompt != nil || seed != nil) {
      throw ValidationError("--per-prompt and --seed are for --pairs iid or soft; a tournament draws nothing.")
    }
  }

  func run() async throws {
    try check()
    let judge = try Oracle.parse(oracle)
    let file = try RecordFile<ResponseRecord>(data)
    let progress = Progress("Judging", total: file.records.count, quiet: quiet)
    var (written, tooFew, ties) = (0, 0, 0)
    try await RecordSink.write(to: out) { sink in
      for (index, record) in file.records.enumerated() {
        if Interrupt.isReceived { throw CancellationError() }
        progress.advance(1)
        guard record.responses.count >= 2 else {
          tooFew += 1
          continue
        }
        var random = CounterRandom(seed: seed ?? 1, UInt64(index)).stream
        let found = try await pairs.pairs(of: record, oracle: judge, pairs: perPrompt ?? 1, using: &random)
        for pair in found { try sink.put(pair) }
        written += found.count
        if found.isEmpty { ties += 1 }
      }
    }
    if !quiet {
      note(
        "\(written) pairs from \(file.records.count) prompts; dropped \(ties) without a strict winner "
          + "and \(tooFew) with fewer than two answers.")
    }
  }
}
