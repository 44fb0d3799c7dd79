import ArgumentParser
import Evaluation
import Foundation
import Oracles
import Tensors
import Tokenization

extension PairMode: ExpressibleByArgument {}

struct Judge: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn sampled answers into preference pairs.",
    discussion: "Prints a JSON line for each pair. Oracles: \(Oracle.known.joined(separator: ", ")).")

  @OptionGroup var judge: OracleOptions

  @Option(help: "JSON lines with `responses`, as `parley generate -n 8` writes them.")
  var data: String

  @Option(
    help:
      "Best against worst, by tournament or by win-rate over all comparisons, or independent pairs with drawn (iid) or soft labels."
  )
  var pairs: PairMode = .tournament

  @Option(parsing: .unconditional, help: "Independent pairs of a prompt, at most half its answers. Default: 1.")
  var perPrompt: Int?

  @Option(parsing: .unconditional, help: "Seed of the independent pairs. Default: 1.")
  var seed: UInt64?

  @Option(help: "Write the pairs into this file instead, whole or not at all.")
  var out: String?

  @Flag(help: "Write no pairs, but say what kind of judge it is: does order matter to it, does it tie, run in circles.")
  var check = false

  @Option(help: "With --check: pairs whose better answer is known, to see how often the judge agrees.")
  var labels: String?

  @Flag(help: "With --check: one JSON object.")
  var json = false

  @Flag(help: "No progress and no counts.")
  var quiet = false

  func checkOptions() throws {
    if check && (out != nil || perPrompt != nil || seed != nil) {
      throw ValidationError("--check writes no pairs: leave --out, --per-prompt and --seed out.")
    }
    if !check && (labels != nil || json) { throw ValidationError("--labels and --json are for --check.") }
    if let perPrompt { try Allowed.repetitions.check(perPrompt, of: "--per-prompt") }
    if !pairs.isIndependent && (perPrompt != nil || seed != nil) {
      throw ValidationError("--per-prompt and --seed are for --pairs iid or soft; the others draw nothing.")
    }
  }

  func run() async throws {
    try checkOptions()
    let oracle = try judge.open(quiet: quiet, oneOrder: check)
    let file = try RecordFile<ResponseRecord>(data)
    if check { return try await report(oracle, file.records) }
    let progress = Progress("Judging", total: file.records.count, quiet: quiet)
    try await RecordSink.write(to: out) { sink in
      let maker = PairMaker(pairs, perPrompt: perPrompt ?? 1, oracle: oracle)
      let counts = try await maker.run(
        file.records, random: { CounterRandom(seed: seed ?? 1, UInt64($0)).stream },
        isCancelled: { Interrupt.isReceived },
        onRecord: { found in
          for pair in found { try sink.put(pair) }
          progress.advance(1)
        })
      if !quiet { note(counts.summary) }
    }
  }

  private func report(_ oracle: any PreferenceOracle, _ records: [ResponseRecord]) async throws {
    let known = try labels.map { try RecordFile<PairRecord>($0).records } ?? []
    let check = try await OracleCheck.run(records, labels: known, oracle: oracle)
    if json { return try Output.json(check) }
    func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }
    var lines = [
      "pairs        \(check.pairs), each asked in both orders",
      "order        P(a beats b) + P(b beats a) is off 1 by \(String(format: "%.4f", check.swapError)) in the mean; "
        + "\(percent(check.swapFlips)) of verdicts turn with it; the first place has \(percent(check.firstPlace))",
      "ties         \(percent(check.ties)) of the pairs, over both orders",
      "circles      \(percent(check.cycles)) of \(check.triples) triples without ties (25 % for tossed coins)",
    ]
    if check.labels > 0 {
      let interval = Interval.wilson(successes: check.agreed, trials: check.labels)
      lines.append(
        "labels       agrees with \(percent(check.agreed / Double(check.labels))) of \(check.labels) "
          + "(95 % interval \(percent(interval.low)) to \(percent(interval.high)))")
    }
    try Output.text(lines.joined(separator: "\n") + "\n")
  }
}
