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
    abstract: "Train an adapter on preference pairs, or on answers to imitate.",
    discussion: """
      Pairs without frozen log-probs are scored first, under the reference and under the policy that training starts from,
      unless the loss looks at neither (simpo, sft). OUT gets pairs.jsonl, metrics.jsonl, checkpoint/ and, at the end,
      adapter.gguf.

      The loss sft trains on the answer tokens of `chosen` alone, which may also be called `response` or `completion`, or be
      the last turn of `messages`.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var settings: TrainingSettings
  @OptionGroup var noise: NoiseOptions

  @Option(
    help: "JSON lines with `prompt`, `chosen` and `rejected`; for --loss sft `prompt` and `chosen`, or `messages`.")
  var pairs: String

  @Option(help: "The folder to write.")
  var out: String

  @Option(help: "The adapter to start from, in GGUF; without it a fresh one, which is the base.")
  var policy: String?

  @Option(help: "π_ref: base, or an adapter. (default: base)")
  var reference: String?

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Flag(help: "Go on from the last checkpoint; the end is the same to the bit.")
  var resume = false

  func run() throws {
    try settings.check(startsFresh: policy == nil)
    let config = try RunConfig(options: settings.given)
    let loss = try config.makeLoss()
    if reference != nil && !loss.needs.contains(.frozen) {
      throw ValidationError("--reference is given, but the loss \(config.loss.rawValue) has none. Leave it out.")
    }
    let adapterPath = out + "/adapter.gguf"
    if !resume && FileManager.default.fileExists(atPath: out + "/metrics.jsonl") { throw RunError.folderExists(out) }
    let session = try Session(model, noise, raw: raw)
    let digest = try Fingerprint.of(file: model.path)
    let base = try reference.flatMap { $0 == "base" ? nil : try LoRAAdapter.read(gguf: $0) }
    let start = try policy.map { try LoRAAdapter.read(gguf: $0) } ?? config.freshAdapter(for: session.model)
    let frozenBy = (
      reference: NamedPolicy(try Policy(session.model, adapter: base), modelSHA256: digest),
      last: NamedPolicy(try Policy(session.model, adapter: start), modelSHA256: digest)
    )
    do {
      let data: [TrainingPair]
      if loss.needs.contains(.rejected) {
        var records = try encodedPairs(session)
        if loss.needs.contains(.frozen) { records = try freeze(records, frozenBy.reference, frozenBy.last) }
        data = try keep(records) { try $0.trainingPair() }
      } else {
        data = try keep(encoded(ExampleRecord.self) { try $0.encoded(by: session.encoder, for: session.model) }) {
          try $0.trainingPair()
        }
      }
      let trainer = try Trainer(
        frozenBy.last.policy, pairs: data, loss: loss,
        options: TrainerOptions(config, memory: config.memory ?? INPORun.defaultMemory, startsAtLast: true),
        folder: out,
        fingerprints: [
          "starting policy": frozenBy.last.fingerprint, "reference": frozenBy.reference.fingerprint,
          "pairs": Fingerprint.of(file: out + "/pairs.jsonl"),
        ].merging(config.fingerprints) { old, _ in old })
      try train(trainer)
    } catch is CancellationError {
      throw Failure.resumable
    }
    try start.write(gguf: adapterPath)
    if !noise.quiet {
      note("The adapter is '\(adapterPath)': \(Parley.invocation) chat \(model.path) --adapter \(adapterPath)")
    }
  }

  private func encodedPairs(_ session: Session) throws -> [PairRecord] {
    let pairs = try encoded(PairRecord.self) { try $0.encoded(by: session.encoder, for: session.model) }
    let even = pairs.count { $0.isEven }
    if even > 0 && !noise.quiet { note("\(even) pairs have equal answers: they add a constant to the loss.") }
    return pairs
  }

  /// The records of the file, each with the token ids that `encode` gives it.
  private func encoded<Record: Decodable>(_: Record.Type, _ encode: (Record) throws -> Record) throws -> [Record] {
    try RecordFile<Record>(pairs).naming { records in
      try records.enumerated().map { index, record in
        do {
          return try encode(record)
        } catch {
          throw RecordFault(index: index, reason: error)
        }
      }
    }
  }

  /// Writes what is trained on into OUT.
  private func keep<Record: Encodable>(_ records: [Record], _ pair: (Record) throws -> TrainingPair) throws
    -> [TrainingPair]
  {
    try FileSystem.createFolder(out)
    try JSONLines.write(records, to: out + "/pairs.jsonl")
    return try records.map(pair)
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
        "\(trainer.totalSteps) steps; activations of \(plan.keptBlocks) of \(plan.blocks) blocks are kept, "
          + "\(mebibytes(plan.activationBytes + plan.adapterBytes)) beside the model.")
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
  @Option(help: ArgumentHelp(help("label-smoothing"))) var labelSmoothing: String?
  @Option(help: ArgumentHelp(help("gamma"))) var gamma: String?
  @Option(help: ArgumentHelp(help("lr"))) var lr: String?
  @Option(help: ArgumentHelp(help("schedule"))) var schedule: String?
  @Option(help: ArgumentHelp(help("warmup"))) var warmup: String?
  @Option(help: ArgumentHelp(help("epochs"))) var epochs: String?
  @Option(help: ArgumentHelp(help("batch"))) var batch: String?
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
      ("loss", loss), ("eta", eta), ("tau", tau), ("ratio", ratio), ("beta", beta),
      ("label-smoothing", labelSmoothing), ("gamma", gamma), ("lr", lr), ("schedule", schedule),
      ("warmup", warmup), ("epochs", epochs), ("batch", batch), ("rank", rank), ("alpha", alpha), ("targets", targets),
      ("max-grad-norm", maxGradNorm), ("weight-decay", weightDecay), ("checkpoint-steps", checkpointSteps),
      ("checkpoint-minutes", checkpointMinutes), ("memory", memory), ("seed", seed),
    ]
    return all.compactMap { name, value in value.map { (name, $0) } }
  }
}
