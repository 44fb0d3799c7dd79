/// Opens what a command works on: the model file, its tokenizer and template, the kernels.

import ArgumentParser
import Foundation
import GGUF
import Generation
import INPO
import Llama
import Tensors
import Tokenization

/// A model ready to run.
struct Session {
  let file: GGUFFile
  let model: LlamaModel
  let encoder: PromptEncoder
  var tokenizer: Tokenizer { encoder.tokenizer }

  /// - Parameter raw: prompts are taken as they are, even when the model has a chat template.
  init(_ options: ModelOptions, _ noise: NoiseOptions, raw: Bool = false) throws {
    try options.check()
    let kernels = try Self.kernels(threads: options.threads)
    file = try GGUFFile.open(options.path)
    model = try LlamaModel(file, precision: options.precision, kv: options.kv, kernels: kernels, context: options.ctx)
    encoder = PromptEncoder(
      tokenizer: try Tokenizer(file.metadata, forcing: options.splitting.pre),
      template: try ChatTemplate.inFile(file.metadata), raw: raw)
    if noise.verbose { note(Self.description(of: model, path: options.path)) }
  }

  /// What runs, for --verbose.
  static func description(of model: LlamaModel, path: String) -> String {
    "\(path): \(model.precision.rawValue), keys and values \(model.kv.rawValue), kernels \(model.kernels.name), \(model.kernels.threads) threads, "
      + "context \(model.context)"
  }

  /// The base, or the base with an adapter. What runs is named unless asked to be quiet.
  func policy(_ adapter: AdapterOption, _ noise: NoiseOptions) throws -> Policy {
    guard let adapter = try adapter.choice() else { return try Policy(model) }
    if noise.verbose { note("Adapter \(adapter.path), scale \(adapter.scale)") }
    return try adapter.policy(model)
  }

  func generationOptions(
    _ sampling: SamplerOptions, _ batch: BatchOptions? = nil, defaults: [RunConfig.Option] = []
  ) throws -> GenerationOptions {
    var settings = try sampling.settings(defaults: defaults)
    if let batch { settings.parallel = batch.parallel }
    do {
      return try settings.options(
        tokenizer, seed: sampling.seed, memory: batch?.memory?.bytes, isCancelled: { Interrupt.isReceived })
    } catch {
      throw ValidationError("\(error)")
    }
  }

  /// The best kernel table of this machine, or the one that PARLEY_ISA names.
  static func kernels(threads: Int?) throws -> Kernels {
    if let threads { try Allowed.threads.check(threads, of: "--threads") }
    let wanted = ProcessInfo.processInfo.environment["PARLEY_ISA"]
    guard let kernels = Kernels(table: wanted, threads: threads ?? ThreadCount.automatic) else {
      throw Failure(
        .usage,
        "PARLEY_ISA is '\(wanted ?? "")', which this machine cannot run. Choose one of "
          + "\(Kernels.available.joined(separator: ", ")), or unset it.")
    }
    return kernels
  }
}
