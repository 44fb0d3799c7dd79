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

  /// A prompt that is encoded and fits.
  public struct Prepared {
    public let record: PromptRecord
    public let request: GenerationRequest
  }

  /// Encodes and measures every prompt.
  ///
  /// - Parameters:
  ///   - samples: K, the answers to each prompt. Sample k is the same for every K above k.
  ///   - firstIndex: index of the first prompt as a key of the randomness, for a run that is done in parts.
  ///   - onFault: a prompt that cannot be rendered, is empty, or does not fit context or memory. When this returns, the prompt is
  ///     left out, and the others keep their indices.
  public func prepare(
    _ prompts: [PromptRecord], samples: Int, firstIndex: Int = 0,
    onFault: (RecordFault) throws -> Void = { throw $0 }
  ) throws -> [Prepared] {
    let plan = MemoryPlan(policy, budget: options.memory)
    return try prompts.enumerated().compactMap { place, record in
      do {
        let request = GenerationRequest(
          prompt: try encoder.prompt(record.prompt, TemplateInputs(record.extra)), index: firstIndex + place,
          samples: samples)
        try plan.check(request, maximumTokens: options.maximumTokens)
        return Prepared(record: record, request: request)
      } catch {
        try onFault(RecordFault(index: place, reason: error))
        return nil
      }
    }
  }

  /// Samples every prompt's answers.
  ///
  /// - Parameters:
  ///   - onToken: every new token.
  ///   - onRecord: every finished record, in the order of `prompts`.
  /// - Throws: `SamplerError`, `CancellationError`, what the closures throw.
  public func run(
    _ prompts: [Prepared], onToken: (GeneratedToken) throws -> Void = { _ in },
    onRecord: (ResponseRecord) throws -> Void
  ) throws {
    let generator = try Generator(policy, options, tokenizer: encoder.tokenizer)
    try generator.run(prompts.map(\.request), onToken: onToken) { place, answers in
      let (record, request) = (prompts[place].record, prompts[place].request)
      try onRecord(ResponseRecord(prompt: record, promptIDs: request.prompt, responses: answers.map(Response.init)))
    }
  }

  /// Prepares all prompts, then samples their answers.
  ///
  /// - Throws: what `run` throws, and before the first token `RecordFault` for a prompt that cannot be used.
  public func run(
    _ prompts: [PromptRecord], samples: Int, firstIndex: Int = 0,
    onToken: (GeneratedToken) throws -> Void = { _ in }, onRecord: (ResponseRecord) throws -> Void
  ) throws {
    try run(prepare(prompts, samples: samples, firstIndex: firstIndex), onToken: onToken, onRecord: onRecord)
  }
}

extension Response {
  init(_ answer: Sample) {
    self.init(
      text: answer.text, tokenIDs: answer.tokens, logp: answer.logProbs.logProbSum, logps: answer.logProbs,
      behaviourLogps: answer.behaviourLogProbs, finish: answer.finish)
  }
}
