/// Everything a run is made from, opened and checked before its folder is touched.

import Adapters
import Foundation
import GGUF
import Generation
import Llama
import Oracles
import Tensors
import Tokenization

struct RunInputs {
  let model: LlamaModel
  let encoder: PromptEncoder
  let oracle: any PreferenceOracle
  let prompts: [PromptRecord]
  let heldOut: [PromptRecord]
  /// Pairs that no round trains on, with token ids.
  let heldOutPairs: [PairRecord]
  /// π_ref; nil is the base.
  let reference: LoRAAdapter?
  /// The files as they are now.
  let manifest: Manifest

  /// - Throws: `RunError.badRecord` for a prompt that cannot be used, and the errors of everything that is opened.
  ///
  /// - Parameters:
  ///   - oracleKinds: judges that the caller brings.
  ///   - judgements: file in which theirs are kept.
  init(_ config: RunConfig, kernels: Kernels, oracleKinds: [OracleKind], judgements: String) throws {
    oracle = try Oracle.parse(config.oracle, kinds: oracleKinds, cache: JudgementCache(path: judgements))
    _ = try config.makeLoss()
    try config.sampling.check()
    try SamplerConfig(temperature: config.evaluateTemperature).check()
    let file = try GGUFFile.open(config.model)
    encoder = PromptEncoder(
      tokenizer: try Tokenizer(file.metadata, forcing: config.preTokenizer),
      template: try ChatTemplate.inFile(file.metadata), raw: config.raw)
    _ = try config.sampling.options(encoder.tokenizer, seed: config.seed) { false }
    model = try LlamaModel(
      file, precision: config.precision, kv: config.kv, kernels: kernels,
      context: config.context == 0 ? nil : config.context)
    reference = config.reference == "base" ? nil : try LoRAAdapter.read(config.reference, for: model.loraBase)
    _ = try Policy(model, adapter: reference ?? config.freshAdapter(for: model))

    let (encoder, limit) = (encoder, model.context)
    func check(_ record: PromptRecord) throws -> PromptRecord {
      let ids = try encoder.prompt(record.prompt, TemplateInputs(record.extra))
      guard !ids.isEmpty else { throw LlamaError.emptySequence }
      let needed = ids.count + config.sampling.maximumTokens - 1
      guard needed <= limit else { throw LlamaError.contextExceeded(needed: needed, limit: limit) }
      return record
    }
    prompts = try Self.records(config.prompts, check)
    heldOut = config.evaluatePrompts.isEmpty ? [] : try Self.records(config.evaluatePrompts, check)
    heldOutPairs =
      config.evalPairs.isEmpty
      ? [] : try Self.records(config.evalPairs) { [model] in try $0.encoded(by: encoder, for: model) }
    let perRound = config.promptsPerRound(of: prompts.count)
    guard perRound > 0, perRound <= prompts.count / config.rounds else {
      let (needs, overflow) = config.rounds.multipliedReportingOverflow(by: max(perRound, 1))
      throw RunError.tooFewPrompts(needs: overflow ? .max : needs, has: prompts.count)
    }

    var files = ["prompts": try Manifest.File(of: config.prompts)]
    if !config.evaluatePrompts.isEmpty { files["heldout"] = try Manifest.File(of: config.evaluatePrompts) }
    if !config.evalPairs.isEmpty { files["heldout-pairs"] = try Manifest.File(of: config.evalPairs) }
    if config.reference != "base" {
      files["reference"] = try Manifest.File(of: config.reference, parts: LoRAAdapter.files(of: config.reference))
    }
    for (index, path) in try Oracle.files(config.oracle).enumerated() {
      files[index == 0 ? "oracle" : "oracle-\(index + 1)"] = try Manifest.File(of: path)
    }
    manifest = Manifest(
      model: try .init(of: config.model, parts: file.paths), files: files, parley: ParleyVersion.current,
      precision: config.precision.rawValue, kernels: kernels.name, threads: kernels.threads)
  }

  /// The records of a file as `use` makes them.
  private static func records<Record: Decodable>(_ path: String, _ use: (Record) throws -> Record) throws -> [Record] {
    try JSONLines.read(Record.self, from: path).enumerated().map { index, record in
      do {
        return try use(record)
      } catch {
        let line = try JSONLines.filledLines(Data(AtomicFile.read(path)))[index].number
        throw RunError.badRecord(file: path, line: line, reason: "\(error)")
      }
    }
  }
}

extension RunConfig {
  /// For answers that are compared instead of trained on: they end as sampled ones do, but the temperature alone says how they
  /// are drawn.
  public func options(
    atTemperature temperature: Double, seed: UInt64, _ tokenizer: Tokenizer, isCancelled: @escaping () -> Bool
  ) throws(SamplerError) -> GenerationOptions {
    var settings = sampling
    (settings.sampler, settings.usesMirostat) = (SamplerConfig(temperature: temperature), false)
    (settings.order, settings.usesHuggingFaceOrder) = (nil, false)
    return try settings.options(tokenizer, seed: seed, memory: memory, isCancelled: isCancelled)
  }

  func promptsPerRound(of count: Int) -> Int { promptsPerRound == 0 ? count / rounds : promptsPerRound }
}
