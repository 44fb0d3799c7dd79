/// Iterative Nash policy optimisation, Algorithm 1 of arXiv 2407.00617: T rounds of sample, judge, freeze, train, evaluate.
/// Every phase ends with a whole file in the run folder, and a resumed run starts at the first one that is missing.

import Adapters
import Foundation
import Generation
import Llama
import Oracles
import Tensors
import Tokenization
import Training

public final class INPORun {
  /// Called after each round with (policy, reference, held-out prompts, progress). Row 6 does the work; this row only asks.
  public typealias Evaluate = (Policy, Policy, [PromptRecord], (Int) -> Void) async throws -> Evaluation

  public let config: RunConfig
  public let folder: RunFolder
  private let inputs: RunInputs
  private let observer: Observer
  private let isCancelled: () -> Bool

  public var model: LlamaModel { inputs.model }
  /// How prompts become tokens in this run.
  public var encoder: PromptEncoder { inputs.encoder }
  public var oracle: any PreferenceOracle { inputs.oracle }

  /// Opens and checks the model and the data, then begins or takes up the run folder.
  ///
  /// - Parameters:
  ///   - resume: go on with a folder that exists; without it such a folder is refused.
  ///   - oracleKinds: judges beside those made of rules and files.
  ///   - isCancelled: asked often; true ends the run with `CancellationError`, and it can be resumed.
  /// - Throws: `RunError` and the errors of everything that is opened.
  public init(
    _ config: RunConfig, folder path: String, resume: Bool, kernels: Kernels, oracleKinds: [OracleKind] = [],
    observer: Observer, isCancelled: @escaping () -> Bool = { Task.isCancelled }
  ) throws {
    self.config = config
    self.observer = observer
    self.isCancelled = isCancelled
    folder = RunFolder(path)
    if FileSystem.exists(folder.config) {
      guard resume else { throw RunError.folderExists(path) }
      try Self.compare(config, folder)
    }
    inputs = try RunInputs(config, kernels: kernels, oracleKinds: oracleKinds, judgements: folder.judgements)
    if FileSystem.exists(folder.manifest), let file = inputs.manifest.changed(since: try .read(folder.manifest)) {
      throw RunError.inputChanged(file, folder: path)
    }
    try FileSystem.createFolder(path)
    try inputs.manifest.write(to: folder.manifest)
    try config.write(to: folder.config)
  }

  /// - Throws: `RunError.otherConfig` unless the folder's settings end in the same bits.
  private static func compare(_ config: RunConfig, _ folder: RunFolder) throws {
    let (old, new) = (try RunConfig.read(folder.config).deciding, config.deciding)
    let names = ConfigField.all.map(\.name).filter { old[$0] != new[$0] }
    guard names.isEmpty else { throw RunError.otherConfig(folder.config, settings: names) }
  }

  /// Runs to the end and writes the report.
  public func run(evaluate: Evaluate) async throws -> Report {
    let reference = try named(inputs.reference)
    var rounds: [Report.Round] = []
    for number in 1...config.rounds {
      rounds.append(try await round(number, reference, evaluate))
    }
    return try finish(rounds, reference)
  }

  // MARK: One round

  private func round(_ number: Int, _ reference: NamedPolicy, _ evaluate: Evaluate) async throws -> Report.Round {
    let files = folder.round(number)
    try FileSystem.createFolder(files.path)
    var summary = try RoundSummary.read(files.summary)
    func timed<Result>(_ phase: WritableKeyPath<Report.Seconds, Double>, _ body: () async throws -> Result) async throws
      -> Result
    {
      let start = ContinuousClock.now
      let result: Swift.Result<Result, any Error>
      do { result = .success(try await body()) } catch { result = .failure(error) }
      summary.seconds[keyPath: phase] += (ContinuousClock.now - start) / .seconds(1)
      try summary.write(files.summary)
      return try result.get()
    }

    if !FileSystem.exists(files.adapter) {
      let start = try startingAdapter(number)
      let last = try named(start)
      if !FileSystem.exists(files.responses) { try await timed(\.sample) { try sample(number, last.policy, files) } }
      if !FileSystem.exists(files.pairs) { try await timed(\.judge) { try await judge(number, files) } }
      let pairs = try await timed(\.score) { try freeze(number, reference, last, files) }
      try await timed(\.train) { try train(number, last, reference, pairs, files) }
    }
    let adapter = try LoRAAdapter.read(gguf: files.adapter)
    if summary.evaluation == nil && !inputs.heldOut.isEmpty {
      observer.onPhase(number, .evaluate, 2 * inputs.heldOut.count)
      let policy = try Policy(model, adapter: adapter)
      summary.evaluation = try await timed(\.evaluate) {
        try await evaluate(policy, reference.policy, inputs.heldOut) { observer.onProgress($0, 0) }
      }
      try summary.write(files.summary)
    }
    let steps = try losses(files)
    return Report.Round(
      summary.evaluation, lossFirst: steps.first, lossLast: steps.last,
      pairs: try JSONLines.read(PairRecord.self, from: files.pairs).count, seconds: summary.seconds)
  }

  /// Line 3: K answers of π_t to each prompt of this round.
  private func sample(_ number: Int, _ policy: Policy, _ files: RunFolder.Round) throws {
    // The run has an order of its own, made from the seed; each round takes the next prompts in it.
    let order = DataOrder(count: inputs.prompts.count, seed: config.seed).indices(epoch: 0)
    let perRound = config.promptsPerRound(of: inputs.prompts.count)
    let prompts = order[((number - 1) * perRound)..<(number * perRound)].map { inputs.prompts[$0] }
    let options = try config.sampling.options(
      encoder.tokenizer, seed: CounterRandom(seed: config.seed, UInt64(number)).bits(0), memory: config.memory,
      isCancelled: isCancelled)
    let journal = try RecordJournal(files.partialResponses) { place, record in
      place < perRound && record.prompt.prompt == prompts[place].prompt && record.responses.count == config.samples
    }
    observer.onPhase(number, .sample, perRound * config.samples)
    observer.onProgress(journal.kept * config.samples, 0)
    // A prompt's place keys its randomness: what is sampled does not depend on where a stopped run goes on.
    try PromptSampler(policy, encoder: encoder, options: options).run(
      Array(prompts[journal.kept...]), samples: config.samples, firstIndex: journal.kept,
      onToken: { _ in observer.onProgress(0, 1) },
      onRecord: {
        try journal.append($0)
        observer.onProgress(config.samples, 0)
      })
    try journal.finish(as: files.responses)
  }

  /// Lines 4 and 5: the oracle turns answers into pairs.
  private func judge(_ number: Int, _ files: RunFolder.Round) async throws {
    let records = try JSONLines.read(ResponseRecord.self, from: files.responses)
    observer.onPhase(number, .judge, records.count)
    var pairs: [PairRecord] = []
    let maker = PairMaker(config.pairs, perPrompt: config.pairsPerPrompt, oracle: oracle)
    let counts = try await maker.run(
      records, random: { CounterRandom(seed: config.seed, UInt64(number), UInt64($0)).stream },
      isCancelled: isCancelled,
      onRecord: {
        pairs += $0
        observer.onProgress(1, 0)
      })
    guard !pairs.isEmpty else { throw RunError.noPairs(round: number, oracle: oracle.name) }
    pairs = try pairs.map { try $0.encoded(by: encoder, for: model) }
    let even = pairs.count { $0.isEven }
    observer.onNote(
      "Round \(number): \(counts.summary)" + (even > 0 ? " \(even) pairs are of equal answers." : ""))
    try JSONLines.write(pairs, to: files.pairs)
  }

  private func freeze(_ number: Int, _ reference: NamedPolicy, _ last: NamedPolicy, _ files: RunFolder.Round) throws
    -> [PairRecord]
  {
    let pairs = try JSONLines.read(PairRecord.self, from: files.pairs).map { try $0.encoded(by: encoder, for: model) }
    guard try config.makeLoss().needs.contains(.frozen) else {
      try JSONLines.write(pairs, to: files.pairs)
      return pairs
    }
    observer.onPhase(number, .score, pairs.count)
    var done = 0
    let frozen = try FrozenPairs.freeze(
      pairs, reference: reference, last: last, memory: config.memory,
      onProgress: {
        observer.onProgress($0 - done, 0)
        done = $0
      }, isCancelled: isCancelled)
    try JSONLines.write(frozen, to: files.pairs)
    return frozen
  }

  /// Line 6: π_{t+1} minimises the loss on the pairs, starting from π_t.
  private func train(
    _ number: Int, _ last: NamedPolicy, _ reference: NamedPolicy, _ pairs: [PairRecord], _ files: RunFolder.Round
  ) throws {
    var options = TrainerOptions(config, memory: config.memory ?? Self.defaultMemory, startsAtLast: true)
    options.tensorBoard = options.tensorBoard.map { "\($0)/round-\(number)" }
    var fingerprints = [
      "starting policy": last.fingerprint, "reference": reference.fingerprint,
      "pairs": try Fingerprint.of(file: files.pairs),
    ].merging(config.fingerprints) { old, _ in old }
    let heldOut = try heldOutPairs(reference, last, files)
    if heldOut != nil { fingerprints["held-out pairs"] = try Fingerprint.of(file: files.evalPairs) }
    let trainer = try Trainer(
      last.policy, pairs: pairs.map { try $0.trainingPair() }, loss: config.makeLoss(), options: options,
      heldOut: heldOut, folder: files.path, fingerprints: fingerprints)
    if number == 1 {
      observer.onNote(
        "Training takes \(trainer.plan.bytes >> 20) MiB beside the model; \(trainer.plan.keeping)")
    }
    observer.onPhase(number, .train, trainer.totalSteps)
    try trainer.run(
      resume: true,
      onStep: {
        observer.onStep($0)
        observer.onProgress(1, 0)
      }, onEvaluation: observer.onEvaluation, onNote: observer.onNote, isCancelled: isCancelled)
    guard var adapter = last.policy.adapter else { return }
    adapter.origin = config.origin(
      over: model, modelSHA256: inputs.manifest.model.sha256, data: try Fingerprint.of(file: files.pairs))
    try adapter.write(gguf: files.adapter)
  }

  /// The pairs to evaluate on in this round, frozen by its policies.
  private func heldOutPairs(_ reference: NamedPolicy, _ last: NamedPolicy, _ files: RunFolder.Round) throws -> HeldOut?
  {
    let pairs = inputs.heldOutPairs
    guard !pairs.isEmpty else { return nil }
    if let stored = FrozenPairs.stored(in: files.evalPairs, for: pairs, reference: reference, last: last) {
      return try HeldOut(config, pairs: stored.map { try $0.trainingPair() })
    }
    let frozen = try FrozenPairs.freeze(
      pairs, reference: reference, last: last, memory: config.memory, isCancelled: isCancelled)
    try JSONLines.write(frozen, to: files.evalPairs)
    return try HeldOut(config, pairs: frozen.map { try $0.trainingPair() })
  }

  // MARK: Policies

  private func named(_ adapter: LoRAAdapter?) throws -> NamedPolicy {
    NamedPolicy(try Policy(model, adapter: adapter), modelSHA256: inputs.manifest.model.sha256)
  }

  /// π_t as the adapter that training goes on with: round 1 starts at π_ref, the others at the round before.
  private func startingAdapter(_ number: Int) throws -> LoRAAdapter {
    if number > 1 { return try LoRAAdapter.read(gguf: folder.round(number - 1).adapter) }
    return try inputs.reference?.copy() ?? config.freshAdapter(for: model)
  }

  private func losses(_ files: RunFolder.Round) throws -> [Double] {
    try MetricsLog.read(files.metrics).steps.map(\.loss)
  }

  // MARK: The end

  private func finish(_ rounds: [Report.Round], _ reference: NamedPolicy) throws -> Report {
    let adapter = try LoRAAdapter.read(gguf: folder.round(config.rounds).adapter)
    try adapter.write(gguf: folder.adapter)
    let report = Report(
      model: config.model, oracle: oracle.name, adapter: "adapter.gguf",
      adapters: (1...config.rounds).map { "round-\($0)/adapter.gguf" }, seeds: ["run": config.seed],
      versions: [
        "parley": ParleyVersion.current, "kernels": model.kernels.name, "precision": config.precision.rawValue,
        "kv": config.kv.rawValue,
      ],
      rounds: rounds)
    var manifest = inputs.manifest
    manifest.files["adapter"] = try Manifest.File(of: folder.adapter)
    try manifest.write(to: folder.manifest)
    try report.write(
      to: folder.path, losses: (1...config.rounds).map { try losses(folder.round($0)) },
      samples: try sideBySide(reference.policy, try Policy(model, adapter: adapter)))
    return report
  }

  /// The likeliest answers of both policies to a few held-out prompts.
  private func sideBySide(_ reference: Policy, _ policy: Policy) throws -> [Report.Sample] {
    let shown = Array(inputs.heldOut.prefix(4))
    let options = try config.options(atTemperature: 0, seed: 0, encoder.tokenizer, isCancelled: isCancelled)
    func answers(_ policy: Policy) throws -> [String] {
      var texts: [String] = []
      try PromptSampler(policy, encoder: encoder, options: options).run(shown, samples: 1) {
        texts.append($0.responses[0].text)
      }
      return texts
    }
    return zip(shown, zip(try answers(reference), try answers(policy))).map {
      Report.Sample(prompt: $0.prompt.lastText, reference: $1.0, policy: $1.1)
    }
  }

  /// Half of the memory this process may use.
  public static var defaultMemory: Int { MemoryLimit.automatic / 2 }
}
