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
      adapter.gguf; with --eval-pairs also best.gguf, the adapter that did best on pairs it was not trained on.

      The loss sft trains on the answer tokens of `chosen` alone, which may also be called `response` or `completion`, or be
      the last turn of `messages`.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var settings: TrainingSettings
  @OptionGroup var template: TemplateOptions
  @OptionGroup var noise: NoiseOptions

  @Option(
    help: "JSON lines with `prompt`, `chosen` and `rejected`; for --loss sft `prompt` and `chosen`, or `messages`.")
  var pairs: String

  @Option(help: "The folder to write.")
  var out: String

  @Option(help: "The adapter to start from (GGUF, PEFT or MLX); without it a fresh one, which is the base.")
  var policy: String?

  @Option(help: "π_ref: base, or an adapter. (default: base)")
  var reference: String?

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Flag(help: "Go on from the last checkpoint; the end is the same to the bit.")
  var resume = false

  @Flag(help: "Say what training would need in memory and time, and stop. Writes nothing.")
  var plan = false

  func run() throws {
    try settings.check(startsFresh: policy == nil)
    try settings.checkHeldOut()
    let config = try RunConfig(options: settings.given)
    let loss = try config.makeLoss()
    try HeldOut.check(config.bestBy, for: loss)
    if reference != nil && !loss.needs.contains(.frozen) {
      throw ValidationError("--reference is given, but the loss \(config.loss.rawValue) has none. Leave it out.")
    }
    let adapterPath = out + "/adapter.gguf"
    if !resume && !plan && FileManager.default.fileExists(atPath: out + "/metrics.jsonl") {
      throw RunError.folderExists(out)
    }
    let session = try Session(model, noise, raw: raw, inputs: template.inputs(raw: raw))
    let program = ResidentMemory.bytes
    var start =
      try policy.map { try LoRAAdapter.read($0, for: session.model.loraBase) }
      ?? config.freshAdapter(for: session.model)
    let options = TrainerOptions(config, memory: config.memory ?? INPORun.defaultMemory, startsAtLast: true)
    if plan { return try show(options, loss, try Policy(session.model, adapter: start), session, program: program) }
    let digest = try Fingerprint.of(files: session.file.paths)
    start.origin = config.origin(over: session.model, modelSHA256: digest, data: try Fingerprint.of(file: pairs))
    let base = try reference.flatMap {
      $0 == "base" ? nil : try LoRAAdapter.read($0, for: session.model.loraBase)
    }
    let frozenBy = (
      reference: NamedPolicy(try Policy(session.model, adapter: base), modelSHA256: digest),
      last: NamedPolicy(try Policy(session.model, adapter: start), modelSHA256: digest)
    )
    if !noise.quiet {
      func named(_ what: String, _ policy: NamedPolicy) -> String { "\(what) (\(policy.fingerprint.prefix(16)))" }
      let of = loss.needs.contains(.frozen) ? "Reference: \(named(reference ?? "base", frozenBy.reference)). " : ""
      note("\(of)Training starts from: \(named(policy ?? "a fresh adapter", frozenBy.last)).")
    }
    do {
      // All is read and planned before anything is scored or written: a bad line, or too little memory, is told at once.
      let data = try TrainingData(pairs, for: loss, session, quiet: noise.quiet)
      let held =
        try config.evalPairs.isEmpty
        ? nil : TrainingData(config.evalPairs, for: loss, session, quiet: noise.quiet)
      let groups = try (data.pairs() + (held?.pairs() ?? [])).map(\.group)
      _ = try TrainingPlan(frozenBy.last.policy, groups: groups, options: options)
      try FileSystem.createFolder(out)
      let trained = try data.frozen(
        for: loss, by: frozenBy, into: out + "/pairs.jsonl", resume: resume, memory: config.memory)
      var fingerprints = [
        "starting policy": frozenBy.last.fingerprint, "reference": frozenBy.reference.fingerprint,
        "pairs": try Fingerprint.of(file: out + "/pairs.jsonl"),
      ].merging(config.fingerprints) { old, _ in old }
      let heldOut = try held.map { held in
        let path = out + "/eval-pairs.jsonl"
        let frozen = try held.frozen(for: loss, by: frozenBy, into: path, resume: resume, memory: config.memory)
        fingerprints["held-out pairs"] = try Fingerprint.of(file: path)
        return HeldOut(config, pairs: frozen)
      }
      PeakMemory.reset()
      let trainer = try Trainer(
        frozenBy.last.policy, pairs: trained, loss: loss, options: options, heldOut: heldOut, folder: out,
        fingerprints: fingerprints)
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

  private func show(
    _ options: TrainerOptions, _ loss: any PairLoss, _ policy: Policy, _ session: Session,
    program: Int
  ) throws {
    let groups = try TrainingData(pairs, for: loss, session, quiet: noise.quiet).pairs().map(\.group)
    guard !groups.isEmpty else { throw TrainerError.noPairs }
    let plan = try TrainingPlan(policy, groups: groups, options: options)
    let forecast = TrainingForecast(plan, session, program: program)
    try Output.text(forecast.memory)
    try Output.text(forecast.time(policy, groups, options))
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
        if tokens == nil { progress.resume(at: record.step - 1) }
        if record.skipped == true {
          progress.say("Step \(record.step) is left out, it is not finite: its pairs are in '\(out)/skipped.jsonl'.")
        }
        progress.detail = record.summary
        progress.advance(1, tokens: record.numTokens - (tokens ?? record.numTokens))
        tokens = record.numTokens
      },
      onEvaluation: { progress.say($0.summary(isBest: $1)) }, onNote: { progress.say($0) },
      isCancelled: { Interrupt.isReceived })
    if let best = trainer.standing.best {
      let early = trainer.endsEarly ? "Stopped early: \(trainer.standing.withoutGain) evaluations without gain. " : ""
      progress.say("\(early)The best adapter on the held-out pairs is of step \(best.step): '\(trainer.bestPath)'.")
    }
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
  @Option(help: ArgumentHelp(help("micro-batch-tokens"))) var microBatchTokens: String?
  @Option(help: ArgumentHelp(help("rank"))) var rank: String?
  @Option(help: ArgumentHelp(help("alpha"))) var alpha: String?
  @Option(help: ArgumentHelp(help("targets"))) var targets: String?
  @Flag(help: ArgumentHelp(help("rslora"))) var rslora = false
  @Option(help: ArgumentHelp(help("rank-pattern"))) var rankPattern: String?
  @Option(help: ArgumentHelp(help("alpha-pattern"))) var alphaPattern: String?
  @Option(help: ArgumentHelp(help("dropout"))) var dropout: String?
  @Option(help: ArgumentHelp(help("max-grad-norm"))) var maxGradNorm: String?
  @Option(help: ArgumentHelp(help("optimizer"))) var optimizer: String?
  @Option(help: ArgumentHelp(help("weight-decay"))) var weightDecay: String?
  @Option(help: ArgumentHelp(help("lora-plus-ratio"))) var loraPlusRatio: String?
  @Option(help: ArgumentHelp(help("checkpoint-steps"))) var checkpointSteps: String?
  @Option(help: ArgumentHelp(help("checkpoint-minutes"))) var checkpointMinutes: String?
  @Option(help: ArgumentHelp(help("checkpoint-keep"))) var checkpointKeep: String?
  @Option(help: ArgumentHelp(help("max-skipped-steps"))) var maxSkippedSteps: String?
  @Option(help: ArgumentHelp(help("tensorboard"))) var tensorboard: String?
  @Option(help: ArgumentHelp(help("eval-pairs"))) var evalPairs: String?
  @Option(help: ArgumentHelp(help("eval-steps"))) var evalSteps: String?
  @Option(help: ArgumentHelp(help("best-by"))) var bestBy: String?
  @Option(help: ArgumentHelp(help("early-stop"))) var earlyStop: String?
  @Option(help: ArgumentHelp(help("memory"))) var memory: String?
  @Option(help: ArgumentHelp(help("backward"))) var backward: String?
  @Option(help: ArgumentHelp(help("seed"))) var seed: String?

  private static func help(_ name: String) -> String {
    ConfigField.named(name)?.sentence ?? ""
  }

  /// An option that would be ignored is an error.
  func check(startsFresh: Bool) throws {
    let shapes: [(String, Bool)] = [
      ("--rank", rank != nil), ("--alpha", alpha != nil), ("--targets", targets != nil), ("--rslora", rslora),
      ("--rank-pattern", rankPattern != nil), ("--alpha-pattern", alphaPattern != nil),
    ]
    if !startsFresh, let (name, _) = shapes.first(where: \.1) {
      throw ValidationError("\(name) is for a fresh adapter; the one of --policy has its shape already.")
    }
  }

  func checkHeldOut() throws {
    if evalPairs == nil && (evalSteps != nil || bestBy != nil || earlyStop != nil) {
      throw ValidationError("--eval-steps, --best-by and --early-stop are about --eval-pairs: give that too.")
    }
  }

  var given: [RunConfig.Option] {
    let all = [
      ("loss", loss), ("eta", eta), ("tau", tau), ("ratio", ratio), ("beta", beta),
      ("label-smoothing", labelSmoothing), ("gamma", gamma), ("lr", lr), ("schedule", schedule),
      ("warmup", warmup), ("epochs", epochs), ("batch", batch),
      ("micro-batch-tokens", microBatchTokens), ("rank", rank), ("alpha", alpha), ("targets", targets),
      ("rslora", rslora ? "true" : nil), ("rank-pattern", rankPattern), ("alpha-pattern", alphaPattern),
      ("dropout", dropout), ("max-grad-norm", maxGradNorm), ("optimizer", optimizer), ("weight-decay", weightDecay),
      ("lora-plus-ratio", loraPlusRatio), ("checkpoint-steps", checkpointSteps),
      ("checkpoint-minutes", checkpointMinutes), ("checkpoint-keep", checkpointKeep),
      ("max-skipped-steps", maxSkippedSteps), ("tensorboard", tensorboard),
      ("eval-pairs", evalPairs), ("eval-steps", evalSteps), ("best-by", bestBy), ("early-stop", earlyStop),
      ("memory", memory), ("backward", backward), ("seed", seed),
    ]
    return all.compactMap { name, value in value.map { (name, $0) } }
  }
}
