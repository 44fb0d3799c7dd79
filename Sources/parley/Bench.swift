import ArgumentParser
import Foundation
import Tensors

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure prefill, decode, batched decode, scoring and training rates.",
    discussion: """
      Each rate is the median of several runs after a warm-up. Batched decode shares a prompt of 128 tokens. Measure on a
      quiet machine.
      """)

  @OptionGroup var model: ModelOptions

  @Option(parsing: .upToNextOption, help: "Only these: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")).")
  var only: [Workload] = []

  @Option(parsing: .unconditional, help: "Measured runs of each.")
  var repetitions = 3

  @Flag(help: "One JSON object.")
  var json = false

  @Flag(help: "No progress.")
  var quiet = false

  func check() throws {
    try Allowed.repetitions.check(repetitions, of: "--repetitions")
  }

  private struct Report: Encodable {
    struct Machine: Encodable {
      let kernels: String
      let threads: Int
      let system: String
    }

    let machine: Machine
    let model: String
    let results: [Measurement]
  }

  func run() throws {
    try check()
    let session = try Session(model, NoiseOptions.none)
    let kernels = session.model.kernels
    let bench = BenchRun(session, repetitions: repetitions)
    let workloads = only.isEmpty ? Workload.allCases : only
    let progress = Progress("Measuring", total: workloads.count, quiet: quiet)
    var results: [Measurement] = []
    if !json {
      try Output.line("\(model.path): \(model.precision.rawValue), \(kernels.name), \(kernels.threads) threads")
    }
    for workload in workloads {
      let result = try bench.measure(workload)
      progress.advance(1)
      results.append(result)
      if !json { try Output.line(result.text) }
    }
    guard json else { return }
    let machine = Report.Machine(
      kernels: kernels.name, threads: kernels.threads, system: ProcessInfo.processInfo.operatingSystemVersionString)
    try Output.json(Report(machine: machine, model: model.path, results: results))
  }
}
