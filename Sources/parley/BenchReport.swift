/// What `parley bench` says: the JSON object and the lines of text.

import Foundation
import Tensors

struct Measurement: Encodable {
  let name: String
  let precision: String
  /// Of the median run.
  let tokensPerSecond: Double
  /// (slowest − fastest) / median.
  let spread: Double
  /// Of the time, what the arithmetic would take at the machine's peak for it, and what reading would: see `WorkCost`.
  let flopsShare: Double
  let bandwidthShare: Double
  /// The most this workload held in memory, pages of the mapped file included.
  let peakResidentMib: Double
  /// The workload this one's rate is compared with, the fastest of its `baselines` measured before it, and the ratio.
  private(set) var baseline: String?
  private(set) var ratio: Double?

  mutating func compare(_ workload: Workload, with others: [Measurement]) {
    let names = workload.baselines.map(\.rawValue)
    let best = others.filter { names.contains($0.name) }.max { $0.tokensPerSecond < $1.tokensPerSecond }
    (baseline, ratio) = (best?.name, best.map { tokensPerSecond / $0.tokensPerSecond })
  }

  var text: String {
    let label = name.padding(toLength: max(8, name.count), withPad: " ", startingAt: 0)
    return label
      + String(
        format: "%9.1f tokens/s ± %4.1f %%  %3.0f %% of peak arithmetic  %3.0f %% of peak reading  %.0f MiB",
        tokensPerSecond, 50 * spread, 100 * flopsShare, 100 * bandwidthShare, peakResidentMib)
      + (baseline.flatMap { name in ratio.map { String(format: "  %.2f of ", $0) + name } } ?? "")
  }
}

struct BenchReport: Encodable {
  struct Machine: Encodable {
    let processor: String?
    let system: String
    let kernels: String
    let threads: Int
    let peak: Peak
  }

  struct Peak: Encodable {
    let int8Gops: Double
    let int16Gops: Double
    let fp32Gflops: Double
    let readGbs: Double

    init(_ peak: MachinePeak) {
      (int8Gops, int16Gops) = (peak.int8Gops, peak.int16Gops)
      (fp32Gflops, readGbs) = (peak.fp32Gflops, peak.readGBs)
    }
  }

  let machine: Machine
  let model: String
  private(set) var results: [Measurement] = []

  /// What every result names, for the heading.
  private let precision: Precision

  private enum CodingKeys: CodingKey { case machine, model, results }

  mutating func add(_ result: Measurement, of workload: Workload) -> Measurement {
    var result = result
    result.compare(workload, with: results)
    results.append(result)
    return result
  }

  init(_ kernels: Kernels, _ peak: MachinePeak, model: String, precision: Precision) {
    machine = Machine(
      processor: Processor.name, system: ProcessInfo.processInfo.operatingSystemVersionString, kernels: kernels.name,
      threads: kernels.threads, peak: Peak(peak))
    self.model = model
    self.precision = precision
  }

  /// What stands above the measurements.
  var heading: String {
    let peak = machine.peak
    return """
      \(model): \(precision.rawValue)
      \(machine.processor ?? machine.system), \(machine.kernels), \(machine.threads) threads. Measured peaks: \
      \(String(
        format: "int8 %.0f, int16 %.0f GOP/s, fp32 %.0f GFLOP/s, reading %.1f GB/s",
        peak.int8Gops, peak.int16Gops, peak.fp32Gflops, peak.readGbs))
      """
  }
}
