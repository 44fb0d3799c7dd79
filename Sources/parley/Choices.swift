/// `generate --choices`: each answer is one of the texts given, by its log-probability as a whole answer, its end included.

import Foundation
import Generation
import Llama
import Scoring
import Tensors
import Tokenization

struct Choices {
  let texts: [String]
  let encoder: PromptEncoder
  let options: GenerationOptions

  /// The choices as answers to each prompt.
  ///
  /// - Throws: `RecordFault` for a prompt that leaves no room for them.
  func requests(_ prompts: [PromptSampler.Prepared], _ model: LlamaModel) throws -> [ScoreRequest] {
    try prompts.map { prompt in
      do {
        let inputs = try TemplateInputs(prompt.record.extra)
        let request = ScoreRequest(
          prompt: prompt.request.prompt,
          responses: try texts.map { try encoder.response($0, after: prompt.record.prompt, inputs).ids })
        guard request.positions <= model.context else {
          throw LlamaError.contextExceeded(needed: request.positions, limit: model.context)
        }
        return request
      } catch {
        throw RecordFault(index: prompt.request.index, reason: error)
      }
    }
  }

  /// Scores and draws, some prompts at a time.
  func run(
    _ prompts: ArraySlice<PromptSampler.Prepared>, _ requests: ArraySlice<ScoreRequest>, _ policy: Policy,
    onRecord: (ResponseRecord) throws -> Void
  ) throws {
    let scorer = Scorer(policy)
    let together = 16
    for first in stride(from: prompts.startIndex, to: prompts.endIndex, by: together) {
      let part = first..<min(first + together, prompts.endIndex)
      let logps = try scorer.logProbs(Array(requests[part]), isCancelled: options.isCancelled)
      for (place, choices) in zip(part, logps) { try onRecord(record(prompts[place], requests[place], choices)) }
    }
  }

  private func record(_ prompt: PromptSampler.Prepared, _ request: ScoreRequest, _ logps: [[Float]]) -> ResponseRecord {
    let sums = logps.map(\.logProbSum)
    let draw = ChoiceDraw(logps: sums, temperature: options.sampler.temperature)
    var record = prompt.record
    record.extra["choices"] = .array(
      draw.ranking.map {
        .object([
          "text": .string(texts[$0]), "logp": .number(sums[$0]), "probability": .number(exp(draw.logProbs[$0])),
        ])
      })
    let responses = (0..<prompt.request.samples).map { sample in
      let uniform = CounterRandom(seed: options.seed, UInt64(prompt.request.index), UInt64(sample)).uniform(0)
      let chosen = draw.draw(uniform)
      return Response(
        text: texts[chosen], tokenIDs: request.responses[chosen], logp: sums[chosen], logps: logps[chosen],
        finish: .stop,
        extra: ["behaviour_logp": .number(draw.logProbs[chosen])])
    }
    return ResponseRecord(prompt: record, promptIDs: request.prompt, responses: responses)
  }
}
