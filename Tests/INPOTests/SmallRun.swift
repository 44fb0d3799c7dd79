/// A whole run small enough to be stopped at every point: two rounds on a tiny model.

import Foundation
import INPO
import Oracles
import Scoring
import Tensors
import TestSupport

struct SmallRun {
  var config = RunConfig()

  init() throws {
    let folder = try temporaryFolder()
    var tiny = TinyModel()
    (tiny.dim, tiny.ffn, tiny.layers, tiny.heads, tiny.kvHeads) = (32, 32, 1, 2, 1)
    tiny.deviation = 0.3
    config.model = folder + "/model.gguf"
    try tiny.write(to: config.model)
    config.prompts = try Self.file(folder + "/train.jsonl", ["One?", "Two?", "Three?", "Four?"])
    config.evaluatePrompts = try Self.file(folder + "/heldout.jsonl", ["Five?", "Six?"])
    config.raw = true
    (config.rounds, config.samples, config.sampling.maximumTokens) = (2, 4, 6)
    (config.pairs, config.pairsPerPrompt) = (.soft, 2)
    (config.rank, config.batch, config.epochs, config.checkpointSteps) = (2, 2, 2, 2)
    (config.learningRate, config.threads, config.eta) = (1e-2, 1, 0.1)
  }

  static func file(_ path: String, _ prompts: [String]) throws -> String {
    try AtomicFile.write(prompts.map { #"{"prompt":"\#($0)"}"# + "\n" }.joined(), to: path)
    return path
  }

  func open(
    _ folder: String, resume: Bool = false, observer: INPORun.Observer = .init(),
    isCancelled: @escaping () -> Bool = { false }
  ) throws -> INPORun {
    guard let kernels = Kernels(threads: 1) else { preconditionFailure("there is always a best table") }
    return try INPORun(
      config, folder: folder, resume: resume, kernels: kernels, observer: observer, isCancelled: isCancelled)
  }

  /// Runs to the end. The evaluation is the log-ratio of one fixed answer: it shows every bit of the policy.
  func run(
    _ folder: String, resume: Bool = false, observer: INPORun.Observer = .init(),
    isCancelled: @escaping () -> Bool = { false }
  ) async throws -> Report {
    let run = try open(folder, resume: resume, observer: observer, isCancelled: isCancelled)
    let encoder = run.encoder
    let report = try await run.run { policy, reference, prompts, onProgress in
      var ratio = 0.0
      for prompt in prompts {
        if isCancelled() { throw CancellationError() }
        let request = ScoreRequest(prompt: try encoder.prompt(prompt.prompt), responses: [[40, 90, 200]])
        ratio += try Scorer(policy).logProbs([request])[0][0].logProbSum
        ratio -= try Scorer(reference).logProbs([request])[0][0].logProbSum
        onProgress(2)
      }
      return .init(winRate: 0.5, low: 0.4, high: 0.6, meanTokens: 3, referenceMeanTokens: 3, kl: ratio)
    }
    return report.withoutTimes
  }
}

extension Report {
  /// Without what the clock says.
  var withoutTimes: Report {
    var report = self
    for i in report.rounds.indices { report.rounds[i].seconds = .init() }
    return report
  }
}

/// What closures of a run write down.
final class Notes {
  var asked = 0
  var phase: INPORun.Phase?
  var stopped: Set<String> = []
  var copies: [String] = []
}
