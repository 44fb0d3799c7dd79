import Llama
import Tensors
import Tokenization

/// Prompt records in, response records out: encodes, samples K answers to each prompt, and decodes them.
public struct PromptSampler {
  private let policy: Policy
  private let encoder: PromptEncoder
  private let options: GenerationOptions

  public init(_ policy: Policy, encoder: PromptEncoder, options: GenerationOptions) {
    self.policy = policy
    self.encoder = encoder
    self.options = options
  }

  /// Samples every prompt's answers. All prompts are encoded and measured before the first token is drawn.
  ///
  /// - Parameters:
  ///   - samples: K, the answers to each prompt. Sample k is the same for every K above k.
  ///   - firstIndex: index of the first prompt as a key of the randomness, for a run that is done in parts.
  ///   - onToken: after every new token: place of the prompt, sample, token.
  ///   - onRecord: every finished record, in the order of `prompts`.
  /// - Throws: `RecordFault` for a prompt that cannot be rendered or does not fit the context; `SamplerError`,
  ///   `CancellationError`, what `onRecord` throws.
  public func run(
    _ prompts: [PromptRecord], samples: Int, firstIndex: Int = 0,
    onToken: (Int, Int, TokenID) -> Void = { _, _, _ in }, onRecord: (ResponseRecord) throws -> Void
  ) throws {
    let requests = try prompts.enumerated().map { place, record in
      do {
        let ids = try encoder.prompt(record.prompt)
        try policy.model.check(prompt: ids, maximumTokens: options.maximumTokens)
        return GenerationRequest(prompt: ids, index: firstIndex + place, samples: samples)
      } catch {
        throw RecordFault(index: place, reason: error)
      }
    }
    try Generator(policy, options).run(requests, onToken: onToken) { place, answers in
      try onRecord(
        ResponseRecord(
          prompt: prompts[place], promptIDs: requests[place].prompt, responses: answers.map(response)))
    }
  }

  private func response(_ answer: Sample) -> Response {
    Response(
      text: encoder.tokenizer.decode(answer.tokens, skipSpecial: true), tokenIDs: answer.tokens,
      logp: answer.logProbs.logProbSum, logps: answer.logProbs,
      behaviourLogps: answer.behaviourLogProbs, finish: answer.finish)
  }
}
