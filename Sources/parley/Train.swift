import Adapters
import ArgumentParser
import Foundation
import INPO
import Llama
import Tensors
import Tokenization
import Training

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train an adapter on preference pairs.",
    discussion: """
      Pairs without frozen log-probs are scored first, under the reference and under the policy that training starts from. OUT
      gets pairs.jsonl, metrics.jsonl, checkpoint/ and, at the end, adapter.gguf.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var settings: TrainingSettings
  @OptionGroup var noise: NoiseOptions

  @Option(help: "JSON lines with `prompt`, `chosen` and `rejected`.")
  var pairs: String

  @Option(help: "The folder to write.")
  var out: String

  @Option(help: "The adapter to start from, in GGUF; without it a fresh one, which is the base.")
  var policy: String?

  @Option(help: "π_ref: base, or an adapter.")
  var reference = "base"

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Flag(help: "Go on from the last checkpoint; the end is the same to the bit.")
  var resume = false

  @Flag(help: "Say what training would need in memory and time, and stop. Writes nothing.")
  var plan = false

  func run() throws {
    try settings.check(startsFresh: policy == nil)
    let config = try RunConfig(options: settings.given)
    let adapterPath = out + "/adapter.gguf"
    if !resume && !plan && FileManager.default.fileExists(atPath: out + "/metrics.jsonl") {
      throw RunError.folderExists(out)
    }
    let session = try Session(model, noise, raw: raw)
    let program = ResidentMemory.bytes
    let start = try policy.map { try LoRAAdapter.read(gguf: $0) } ?? config.freshAdapter(for: session.model)
    let options = TrainerOptions(config, memory: config.memory ?? INPORun.defaultMemory, startsAtLast: true)
    if plan { return try show(options, try Policy(session.model, adapter: start), session, program: program) }
    let digest = try Fingerprint.of(file: model.path)
    let base = try reference == "base" ? nil : LoRAAdapter.read(gguf: reference)
    let frozenBy = (
      reference: NamedPolicy(try Policy(session.model, adapter: base), modelSHA256: digest),
      last: NamedPolicy(try Policy(session.model, adapter: start), modelSHA256: digest)
    )
    do {
      let encoded = try encodedPairs(session)
      try FileSystem.createFolder(out)
      let records = try freeze(encoded, frozenBy.reference, frozenBy.last)
      try JSONLines.write(records, to: out + "/pairs.jsonl")
      PeakMemory.reset()
      let trainer = try Trainer(
        frozenBy.last.policy, pairs: records.map { try $0.trainingPair() }, loss: config.makeLoss(), options: options,
        folder: out,
        fingerprints: [
          "starting policy": frozenBy.last.fingerprint, "reference": frozenBy.reference.fingerprint,
          "pairs": Fingerprint.of(file: out + "/pairs.jsonl"),
        ].merging(config.fingerprints) { old, _ in old })
      try train(trainer)
      if !noise.quiet {
        let planned = TrainingForecast(trainer.plan, session, program: program).bytes
        note(
          "Training held at most \(String(format: "%.1f", PeakMemory.mebibytes)) MiB, planned were \(mebibytes(planned))."
        )
      }
    } catch is CancellationError {
      throw Failure.resumable
    }
    try start.write(gguf: adapterPath)
    if !noise.quiet {
      note("The adapter is '\(adapterPath)': \(Parley.invocation) chat \(model.path) --adapter \(adapterPath)")
    }
  }

  private func show(_ options: TrainerOptions, _ policy: Policy, _ session: Session, program: Int) throws {
    let groups = try encodedPairs(session).map { try $0.group() }
    guard !groups.isEmpty else { throw TrainerError.noPairs }
    let plan = try TrainingPlan(
      policy, groups: groups, batch: options.batch, microBatchTokens: options.microBatchTokens, budget: options.memory)
    let forecast = TrainingForecast(plan, session, program: program)
    try Output.text(forecast.memory)
    try Output.text(
      forecast.time(policy, groups, epochs: options.epochs, steps: options.steps(pairs: groups.count)))
  }

  private func encodedPairs(_ session: Session) throws -> [PairRecord] {
    let encoded = try RecordFile<PairRecord>(pairs).naming { records in
      try records.enumerated().map { index, record in
        do {
          return try record.encoded(by: session.encoder, for: session.model)
        } catch {
          throw RecordFault(index: index, reason: error)
        }
      }
    }
    let even = encoded.count { $0.isEven }
    if even > 0 && !noise.quiet { note("\(even) pairs have equal answers: they add a constant to the loss.") }
    return encoded
  }

  private func freeze(_ encoded: [PairRecord], _ reference: NamedPolicy, _ last: NamedPolicy) throws -> [PairRecord] {
    if resume {
      let path = out + "/pairs.jsonl"
      if let stored = FrozenPairs.stored(in: path, for: encoded, reference: reference, last: last) { return stored }
    }
    let progress = Progress("Scoring", total: encoded.count, quiet: noise.quiet)
    var done = 0
    return try FrozenPairs.freeze(
      encoded, reference: reference, last: last,
      onProgress: {
        progress.advance($0 - done)
        done = $0
      }, isCancelled: { Interrupt.isReceived })
  }

  private func train(_ trainer: Trainer) throws {
    let plan = trainer.plan
    if !noise.quiet {
      note(
        "\(trainer.totalSteps) steps; \(mebibytes(plan.bytes)) beside the model; \(plan.keeping).")
    }
    let progress = Progress("Training", total: trainer.totalSteps, quiet: noise.quiet)
    var tokens: Int?
    try trainer.run(
      resume: resume,
      onStep: { record in
        progress.advance(1, tokens: record.numTokens - (tokens ?? record.numTokens))
        progress.detail = String(format: "loss %.4g", record.loss)
        tokens = record.numTokens
      }, isCancelled: { Interrupt.isReceived })
  }
}

/// The settings of training, as text: `RunConfig` reads and checks them, from here as from a run file.
struct TrainingSettings: ParsableArguments {
  @Option(help: ArgumentHelp(help("loss"))) var loss: String?
  @Option(help: ArgumentHelp(help("eta"))) var eta: String?
  @Option(help: "Weight τ of the reference, at most eta; or give --ratio.") var tau: String?
  @Option(help: ArgumentHelp(help("ratio"))) var ratio: String?
  @Option(help: ArgumentHelp(help("beta"))) var beta: String?
  @Option(help: ArgumentHelp(help("lr"))) var lr: String?
  @Option(help: ArgumentHelp(help("schedule"))) var schedule: String?
  @Option(help: ArgumentHelp(help("warmup"))) var warmup: String?
  @Option(help: ArgumentHelp(help("epochs"))) var epochs: String?
  @Option(help: ArgumentHelp(help("batch"))) var batch: String?
  @Option(help: ArgumentHelp(help("micro-batch-tokens"))) var microBatchTokens: String?
  @Option(help: ArgumentHelp(help("rank"))) var rank: String?
  @Option(help: ArgumentHelp(help("alpha"))) var alpha: String?
  @Option(help: ArgumentHelp(help("targets"))) var targets: String?
  @Option(help: ArgumentHelp(help("max-grad-norm"))) var maxGradNorm: String?
  @Option(help: ArgumentHelp(help("weight-decay"))) var weightDecay: String?
  @Option(help: ArgumentHelp(help("checkpoint-steps"))) var checkpointSteps: String?
  @Option(help: ArgumentHelp(help("checkpoint-minutes"))) var checkpointMinutes: String?
  @Option(help: ArgumentHelp(help("memory"))) var memory: String?
  @Option(help: ArgumentHelp(help("seed"))) var seed: String?

  private static func help(_ name: String) -> String {
    ConfigField.named(name)?.sentence ?? ""
  }

  /// An option that would be ignored is an error.
  func check(startsFresh: Bool) throws {
    if !startsFresh && (rank != nil || alpha != nil || targets != nil) {
      throw ValidationError("--rank, --alpha and --targets are those of --policy already.")
    }
  }

  var given: [RunConfig.Option] {
    let all = [
      ("loss", loss), ("eta", eta), ("tau", tau), ("ratio", ratio), ("beta", beta), ("lr", lr), ("schedule", schedule),
      ("warmup", warmup), ("epochs", epochs), ("batch", batch),
      ("micro-batch-tokens", microBatchTokens), ("rank", rank), ("alpha", alpha), ("targets", targets),
      ("max-grad-norm", maxGradNorm), ("weight-decay", weightDecay), ("checkpoint-steps", checkpointSteps),
      ("checkpoint-minutes", checkpointMinutes), ("memory", memory), ("seed", seed),
    ]
    return all.compactMap { name, value in value.map { (name, $0) } }
  }
}
