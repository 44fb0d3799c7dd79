import ArgumentParser
import Evaluation
import Foundation
import Oracles
import Tokenization

struct Evaluate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Let an adapter's answers meet the base's before an oracle.",
    discussion: "Oracles: \(Oracle.known.joined(separator: ", ")).")

  @OptionGroup var model: ModelOptions
  @OptionGroup var sampling: SamplerOptions
  @OptionGroup var batch: BatchOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "What it meets: base, or another adapter.")
  var against: ReferenceChoice = .base

  @Option(help: "JSON lines with a prompt each.")
  var prompts: String

  @OptionGroup var judging: OracleOptions

  @Option(name: [.customShort("n")], parsing: .unconditional, help: "Answers to each prompt from each side.")
  var samples = 1

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Flag(help: "One JSON object.")
  var json = false

  func check() throws {
    if try adapter.choice() == nil { throw ValidationError("Give the policy's adapter with --adapter.") }
    try Allowed.repetitions.check(samples, of: "-n")
    try batch.check()
  }

  func run() async throws {
    try check()
    try sampling.check()
    let judge = try judging.open(quiet: noise.quiet, threads: model.threads)
    let session = try Session(model, noise, raw: raw)
    let evaluator = Evaluator(
      try session.policy(adapter, noise), against: try against.policy(session.model), encoder: session.encoder,
      options: try session.generationOptions(sampling, batch), oracle: judge)
    let file = try RecordFile<PromptRecord>(prompts)
    let progress = Progress("Sampling", total: 2 * file.records.count, quiet: noise.quiet)
    let result: EvaluationResult
    do {
      result = try await evaluator.run(file.records, samples: samples) { progress.advance($0) }
    } catch let fault as RecordFault {
      throw file.located(fault)
    }
    if result.kl == nil && !noise.quiet {
      note("No KL: it needs samples of the policy itself, so temperature 1 and nothing that cuts or changes.")
    }
    if json { try Output.json(result) } else { try Output.text(Self.text(result, judge.name)) }
  }

  private static func text(_ result: EvaluationResult, _ oracle: String) -> String {
    func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
    return """
      win rate     \(number(result.winRate, 3))  (95 % interval \(number(result.ciLow, 3)) to \(number(result.ciHigh, 3)), \
      \(result.prompts) prompts, \(oracle))
      tokens       \(number(result.meanTokens, 1)), reference \(number(result.referenceMeanTokens, 1))
      ended        \(number(100 * result.finished, 1)) %, reference \(number(100 * result.referenceFinished, 1)) %
      KL           \(result.kl.map { number($0, 3) + " nats an answer" } ?? "not measured")

      """
  }
}
