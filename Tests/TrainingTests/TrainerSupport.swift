/// What the trainer's tests share: a small job on a tiny model, frozen by the policies themselves, and what a run leaves.

import Adapters
import Foundation
import GGUF
import INPO
import Llama
import ReferenceModel
import Scoring
import Tensors
import TestSupport
import Training

/// Pairs, a starting policy and options. Every run gets its own copy of the adapter.
struct Job {
  let file: GGUFFile
  let model: LlamaModel
  let start: LoRAAdapter
  var pairs: [TrainingPair]
  var loss: any PairLoss
  var options: TrainerOptions
  var heldOut: HeldOut?

  static let eta = 0.1

  /// - Parameters:
  ///   - count: how many pairs; their answers have 1 to 5 tokens, the prompts 2 to 5.
  ///   - isLarge: a wider model and answers 20 times as long, enough work for the kernels to share it among threads.
  init(
    pairs count: Int, precision: Precision = .int16, threads: Int = 2, format: WeightFormat = .q8_0,
    isLarge: Bool = false
  ) throws {
    var tiny = TinyModel()
    if isLarge { (tiny.dim, tiny.ffn) = (256, 512) }
    tiny.format = { _ in format }
    tiny.deviation = 1.2 / Float(tiny.dim).squareRoot()
    let longer = isLarge ? 20 : 1
    let path = try temporaryFolder() + "/tiny.gguf"
    try tiny.write(to: path)
    file = try GGUFFile.open(path)
    guard let kernels = Kernels(threads: threads) else { preconditionFailure("there is always a best table") }
    model = try LlamaModel(file, precision: precision, kernels: kernels)
    // B is not zero: π_t is not π_ref, and every gradient counts.
    start = LoRAAdapter.fresh(architecture: "llama", rank: 4, alpha: 8, seed: 1, shapes: model.adaptable)
    for module in start.modules {
      let b = Seeded(2, module.name).normals(module.b.count, deviation: 0.05)
      for (i, value) in b.enumerated() { module.b.pointer[i] = value }
    }
    let reference = Scorer(try Policy(model))
    let last = Scorer(try Policy(model, adapter: start))
    pairs = try (0..<count).map { index in
      func tokens(_ count: Int, _ part: UInt64) -> [TokenID] {
        Seeded(UInt64(index), "\(part)").integers(count, below: 259).map(TokenID.init)
      }
      let request = ScoreRequest(
        prompt: tokens(2 + index % 4, 0),
        responses: [tokens(longer * (1 + index % 5), 1), tokens(longer * (1 + (index + 2) % 5), 2)])
      let (r, l) = (try reference.logProbs([request])[0], try last.logProbs([request])[0])
      return TrainingPair(
        ScoredGroup(prompt: request.prompt, answers: request.responses),
        referenceChosen: r[0].logProbSum, referenceRejected: r[1].logProbSum, lastChosen: l[0].logProbSum,
        lastRejected: l[1].logProbSum)
    }
    loss = try INPOLoss(eta: Self.eta, ratio: 1.0 / 3)
    options = TrainerOptions(
      batch: 2, epochs: 2, schedule: Schedule(.cosine, peak: 0.01, warmUp: .steps(1)), seed: 5, memory: 1 << 28,
      rewardScale: Self.eta, startsAtLast: true)
  }

  /// A trainer with an adapter of its own.
  func trainer(in folder: String, fingerprints: [String: String] = [:]) throws -> (Trainer, LoRAAdapter) {
    let adapter = start.copy()
    let trainer = try Trainer(
      Policy(model, adapter: adapter), pairs: pairs, loss: loss, options: options, heldOut: heldOut,
      folder: folder, fingerprints: fingerprints)
    return (trainer, adapter)
  }

  /// Runs to the end.
  /// - Parameter folder: nil is a new one.
  func run(in folder: String? = nil, resume: Bool = false) throws -> Result {
    let folder = try folder ?? temporaryFolder()
    let (trainer, adapter) = try trainer(in: folder)
    try trainer.run(resume: resume)
    return Result(adapter: adapter, records: try records(folder))
  }

  struct Result {
    let adapter: LoRAAdapter
    let records: [MetricsRecord]
    var bits: [UInt32] { adapter.bits }
  }
}

extension LoRAAdapter {
  var bits: [UInt32] { modules.flatMap { $0.a.values + $0.b.values }.map(\.bitPattern) }

  var twin: TwinAdapter {
    var twin = TwinAdapter()
    for module in modules {
      twin.modules[module.name] = TwinLoRA(
        a: TwinTensor(rows: module.a.rows, columns: module.a.columns, floats: module.a.values),
        b: TwinTensor(rows: module.b.rows, columns: module.b.columns, floats: module.b.values),
        scale: Double(scale(of: module)))
    }
    return twin
  }
}

/// The steps in `metrics.jsonl` of a run folder.
func records(_ folder: String) throws -> [MetricsRecord] { try MetricsLog.read(folder + "/metrics.jsonl").steps }

extension MetricsRecord {
  /// Without what the clock says.
  var withoutTimes: MetricsRecord {
    var record = self
    (record.elapsed, record.remaining, record.tokensPerSecond) = (0, 0, 0)
    return record
  }
}
