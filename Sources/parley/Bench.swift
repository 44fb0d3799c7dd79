import ArgumentParser
import Foundation
import Tensors

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure prefill, decode, batched decode, scoring and training rates.",
    discussion: """
      pp512, pp2048: a prompt. tg128: one sequence. batch-N: N answers of 64 tokens that share a prompt of 128. score: 64 \
      sequences of 256 tokens, half of each scored. train: one LoRA step of 4 pairs of 2 × 256 tokens; \
      train-long: of 2 × 896, whose answers share 768.

      Only when asked for, and measured once, for they take minutes: rollouts, 8 answers of 128 tokens to each of 64 prompts of \
      64 to 256, counted in new tokens; score-pairs, 256 pairs of a prompt of 200 tokens and two answers of 150, each prompt \
      counted once; score-policies, the same under the base and an adapter of rank 16, counted for both. Each is compared with \
      plainer work measured before it: batch-8 to batch-64, pp512, score-pairs.

      Each rate is the median of several runs after a warm-up, with its spread. The shares compare the work that has to be \
      done with the peaks of this machine, which are measured first. Measure on a quiet machine.
      """)

  @OptionGroup var model: ModelOptions

  @Option(parsing: .upToNextOption, help: "Only these: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")).")
  var only: [Workload] = []

  @Option(parsing: .unconditional, help: "Measured runs of each.")
  var repetitions = 5

  @Flag(help: "One JSON object.")
  var json = false

  @Flag(help: "No progress.")
  var quiet = false

  func check() throws {
    try Allowed.repetitions.check(repetitions, of: "--repetitions")
  }

  func run() throws {
    try check()
    let session = try Session(model, NoiseOptions.none)
    let workloads = chosen(context: session.model.context)
    let kernels = session.model.kernels
    let peak = MachinePeak(measuring: kernels)
    let bench = BenchRun(session, peak: peak, repetitions: repetitions)
    let progress = Progress("Measuring", total: workloads.count, quiet: quiet)
    var report = BenchReport(kernels, peak, model: model.path, precision: model.precision)
    if !json { try Output.line(report.heading) }
    for workload in workloads {
      let result = report.add(try bench.measure(workload), of: workload)
      progress.advance(1)
      if !json { try Output.line(result.text) }
    }
    if json { try Output.json(report) }
  }

  /// What was asked for, or all that the context has room for.
  private func chosen(context: Int) -> [Workload] {
    guard only.isEmpty else { return only }
    let usual = Workload.allCases.filter { !$0.isLong }
    let all = usual.filter { $0.positions <= context }
    for workload in usual where workload.positions > context && !quiet {
      note("Skipped \(workload.rawValue): it needs \(workload.positions) positions, the context has \(context).")
    }
    return all
  }
}
