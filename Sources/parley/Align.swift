import ArgumentParser
import Evaluation
import Foundation
import Generation
import INPO
import Llama
import Oracles

/// `parley inpo`: the whole loop.
struct Align: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inpo", abstract: "Align a model by INPO: rounds of sample, judge, train, evaluate.",
    discussion: """
      Settings come from a run file (YAML, one `name: value` a line), from --set, or from both; OUT/config.yaml lists all of
      them. An interrupted run goes on with --resume and ends the same to the bit.
      """)

  @OptionGroup var noise: NoiseOptions

  @Option(help: "The run file.")
  var config: String?

  @Option(help: ArgumentHelp("One setting, over the run file's; can be repeated.", valueName: "name=value"))
  var set: [String] = []

  @Option(help: "The run folder.")
  var out: String

  @Flag(help: "Go on with the run begun in OUT; without --config, with the settings it began with.")
  var resume = false

  func run() async throws {
    let options = try set.map { text -> RunConfig.Option in
      guard let equals = text.firstIndex(of: "=") else { throw ValidationError("--set \(text): write name=value.") }
      return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
    // A run knows its settings already.
    let file = config ?? (resume ? RunFolder(out).config : nil)
    let settings = try file.map { try RunConfig.read($0, options: options) } ?? RunConfig(options: options)
    try settings.requireInputs(file: file ?? "--set")

    let threads = settings.threads == 0 ? nil : settings.threads
    let kernels = try Session.kernels(threads: threads)
    let judges = try OracleOptions.kinds(settings, threads: threads, quiet: noise.quiet)
    let observer = RunObserver(noise)
    let run = try INPORun(
      settings, folder: out, resume: resume, kernels: kernels, oracleKinds: judges, observer: observer.callbacks,
      isCancelled: { Interrupt.isReceived })
    if noise.verbose { note(Session.description(of: run.model, path: settings.model)) }
    let (encoder, judge) = (run.encoder, run.oracle)
    do {
      let report = try await run.run { policy, reference, prompts, onProgress in
        let options = try settings.options(
          atTemperature: settings.evaluateTemperature, seed: settings.seed, encoder.tokenizer,
          isCancelled: { Interrupt.isReceived })
        let evaluator = Evaluator(policy, against: reference, encoder: encoder, options: options, oracle: judge)
        let result = try await evaluator.run(prompts, samples: settings.evaluateSamples, onProgress: onProgress)
        return .init(
          winRate: result.winRate, low: result.ciLow, high: result.ciHigh, meanTokens: result.meanTokens,
          referenceMeanTokens: result.referenceMeanTokens, kl: result.kl)
      }
      observer.end()
      try Output.text(summary(report, settings))
    } catch is CancellationError {
      observer.end()
      throw Failure.resumable
    }
  }

  private func summary(_ report: Report, _ settings: RunConfig) -> String {
    func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
    var lines: [String] = []
    for (index, round) in report.rounds.enumerated() {
      let seconds = round.seconds
      lines.append(
        "Round \(index + 1): \(round.pairs) pairs, \(number(seconds.total, 0)) s (sample \(number(seconds.sample, 0)), judge "
          + "\(number(seconds.judge, 0)), score \(number(seconds.score, 0)), train \(number(seconds.train, 0)), evaluate "
          + "\(number(seconds.evaluate, 0)))" + (round.winRate.map { ", win rate \(number($0, 3))" } ?? ""))
    }
    if let last = report.rounds.last, let rate = last.winRate, let low = last.low, let high = last.high {
      lines.append(
        "Held-out win rate against \(settings.reference) under \(report.oracle): \(number(rate, 3)) "
          + "(95 % interval \(number(low, 3)) to \(number(high, 3)))")
      if let before = last.referenceMeanTokens, let after = last.meanTokens {
        lines.append("Mean answer: \(number(before, 1)) tokens before, \(number(after, 1)) after")
      }
    }
    lines.append("Adapters: \(out)/adapter.gguf, and one a round in \(out)/round-N/; report: \(out)/report.md")
    lines.append("Talk with it: \(Parley.invocation) chat \(settings.model) --adapter \(out)/adapter.gguf")
    return lines.joined(separator: "\n") + "\n"
  }
}

/// Turns what a run tells into progress on stderr.
private final class RunObserver {
  private let noise: NoiseOptions
  private var progress: Progress?
  private var isFirstStep = true

  init(_ noise: NoiseOptions) { self.noise = noise }

  func end() { progress = nil }

  var callbacks: INPORun.Observer {
    INPORun.Observer(
      onPhase: { round, phase, steps in
        self.progress = Progress("Round \(round), \(phase.rawValue)", total: steps, quiet: self.noise.quiet)
        self.isFirstStep = true
      },
      onProgress: { steps, tokens in self.progress?.advance(steps, tokens: tokens) },
      onStep: { record in
        if self.isFirstStep { self.progress?.resume(at: record.step - 1) }
        self.isFirstStep = false
        self.progress?.detail = record.summary
      },
      onEvaluation: { record, isBest in self.say(record.summary(isBest: isBest)) },
      onNote: { self.say($0) })
  }

  private func say(_ sentence: String) {
    guard !noise.quiet else { return }
    if let progress { progress.say(sentence) } else { note(sentence) }
  }
}
