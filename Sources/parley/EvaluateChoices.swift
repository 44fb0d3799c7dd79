import ArgumentParser
import Evaluation
import Foundation
import Tokenization

struct EvaluateChoices: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer multiple-choice questions by the probability of each choice.",
    discussion: """
      A line of the data is {"context": text, "choices": [text, …], "answer": index from 0}. Rules are those of the
      lm-evaluation-harness: space at the context's end goes to the choice, both are encoded together and cut at the context's
      length. acc takes the largest log-probability, acc_norm the largest per character, acc_bytes per byte of the choice. Texts are taken as
      they are, without a chat template.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "JSON lines with a question each.")
  var data: String

  @Option(help: "Write each question with the log-probabilities of its choices into this file, whole or not at all.")
  var out: String?

  @Flag(help: "One JSON object.")
  var json = false

  func run() async throws {
    let session = try Session(model, noise, raw: true)
    let file = try RecordFile<ChoiceRecord>(data)
    let scorer = LoglikelihoodScorer(try session.policy(adapter, noise), tokenizer: session.tokenizer)
    let progress = Progress("Scoring", total: file.records.count, quiet: noise.quiet)
    var all: [ScoredChoices] = []
    try file.naming { records in
      try scorer.choices(records, isCancelled: { Interrupt.isReceived }) { scored in
        all.append(scored)
        progress.advance(1, tokens: scored.scores.reduce(0) { $0 + $1.tokens })
      }
    }
    if let out { try JSONLines.write(all, to: out) }
    let accuracy = ChoiceAccuracy(all)
    if json { try Output.json(accuracy) } else { try Output.text(Self.text(accuracy)) }
    guard !noise.quiet else { return }
    let choices = all.flatMap(\.scores)
    let (spanning, truncated) = (choices.count { $0.spansCut }, choices.count { $0.isTruncated })
    if spanning > 0 { note("In \(spanning) choices a token spans the end of the context.") }
    if truncated > 0 { note("In \(truncated) choices the context is too long: its first tokens are left out.") }
  }

  private static func text(_ result: ChoiceAccuracy) -> String {
    func line(_ name: String, _ value: Double, _ error: Double) -> String {
      name + String(format: "  %.4f ± %.4f", value, error)
    }
    return [
      line("acc      ", result.acc, result.accStderr) + "  (\(result.records) questions)",
      line("acc_norm ", result.accNorm, result.accNormStderr),
      line("acc_bytes", result.accBytes, result.accBytesStderr),
    ].joined(separator: "\n") + "\n"
  }
}
