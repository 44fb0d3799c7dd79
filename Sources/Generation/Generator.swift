import Llama
import Tensors
import Tokenization

/// One prompt and how many answers it should get.
public struct GenerationRequest {
  public let prompt: [TokenID]
  /// Keys the randomness, with the sample's index: an answer does not depend on what else is generated.
  public let index: Int
  public let samples: Int
  /// Positions that are computed already, a prefix of `prompt`: an earlier turn of a conversation. Left unchanged.
  public let past: KVSequence?
  /// Most new tokens of an answer, where the generator's own limit is not meant.
  public let maximumTokens: Int?

  public init(
    prompt: [TokenID], index: Int, samples: Int, past: KVSequence? = nil, maximumTokens: Int? = nil
  ) {
    self.prompt = prompt
    self.index = index
    self.samples = samples
    self.past = past
    self.maximumTokens = maximumTokens
  }
}

/// One sampled answer.
public struct Sample {
  /// With the end token, when the model ended the answer.
  public internal(set) var tokens: [TokenID] = []
  /// Raw log-probability of each token: temperature 1, before any sampler.
  public internal(set) var logProbs: [Float] = []
  /// Log-probability of each token under the whole sampler chain.
  public internal(set) var behaviourLogProbs: [Float] = []
  public internal(set) var finish: Finish = .length
  /// The prompt and all tokens but the last, as computed; nil unless `keepsSequences` asks for it.
  public internal(set) var sequence: KVSequence?
}

public struct GenerationOptions {
  public var sampler: SamplerConfig
  public var seed: UInt64
  /// Most new tokens of an answer.
  public var maximumTokens: Int
  /// Tokens that end an answer.
  public var endTokens: Set<TokenID>
  /// Answers in flight at once.
  public var maximumSequences: Int
  /// Whether finished answers keep their keys and values, for a later turn; otherwise that memory is free at once.
  public var keepsSequences: Bool
  /// Asked between steps; true ends the run with `CancellationError`.
  public var isCancelled: () -> Bool

  public init(
    sampler: SamplerConfig, seed: UInt64, maximumTokens: Int, endTokens: Set<TokenID>, maximumSequences: Int = 64,
    keepsSequences: Bool = false, isCancelled: @escaping () -> Bool = { Task.isCancelled }
  ) {
    self.sampler = sampler
    self.seed = seed
    self.maximumTokens = maximumTokens
    self.endTokens = endTokens
    self.maximumSequences = maximumSequences
    self.keepsSequences = keepsSequences
    self.isCancelled = isCancelled
  }
}

/// Samples answers: a batch that is kept full. Each prompt is run once and forked for its samples; a finished answer makes
/// room for the next. What is drawn depends on (seed, request index, sample index, position) and the policy alone.
public final class Generator {
  private let policy: Policy
  private let options: GenerationOptions
  private let pass: ForwardPass
  private let head: Head
  private let sampler: Sampler

  /// - Throws: `SamplerError` for values that make no sense.
  public init(_ policy: Policy, _ options: GenerationOptions) throws {
    try options.sampler.check()
    self.policy = policy
    self.options = options
    pass = ForwardPass(policy.model)
    head = Head(policy.model)
    sampler = Sampler(config: options.sampler, kernels: policy.model.kernels)
  }

  /// An answer in the making.
  private struct Active {
    let request: Int
    let sample: Int
    let random: CounterRandom
    let sequence: KVSequence
    var answer = Sample()
    var last: TokenID
  }

  /// Generates all requests.
  ///
  /// - Parameters:
  ///   - onToken: every new token, as (place of the request in `requests`, sample, token).
  ///   - onFinish: every request's answers, in the order of `requests`, as soon as they and all before are done.
  /// - Throws: `LlamaError`, `SamplerError.notFinite`, `CancellationError`, what `onFinish` throws.
  public func run(
    _ requests: [GenerationRequest], onToken: (Int, Int, TokenID) -> Void = { _, _, _ in },
    onFinish: (Int, [Sample]) throws -> Void
  ) throws {
    var waiting = requests.indices.flatMap { r in (0..<requests[r].samples).map { (request: r, sample: $0) } }[...]
    var prompts: [Int: KVSequence] = [:]
    var active: [Active] = []
    var finished = requests.map { [Sample?](repeating: nil, count: $0.samples) }
    var reported = 0

    while true {
      while let next = waiting.first, active.count < options.maximumSequences {
        waiting.removeFirst()
        let request = requests[next.request]
        let prompt = try prompts[next.request] ?? prefill(request)
        prompts[next.request] = next.sample == request.samples - 1 ? nil : prompt
        active.append(
          Active(
            request: next.request, sample: next.sample,
            random: CounterRandom(seed: options.seed, UInt64(request.index), UInt64(next.sample)),
            sequence: prompt.fork(), last: request.prompt[request.prompt.count - 1]))
      }
      while reported < requests.count, finished[reported].allSatisfy({ $0 != nil }) {
        try onFinish(reported, finished[reported].compactMap { $0 })
        finished[reported] = []
        reported += 1
      }
      if active.isEmpty { return }
      if options.isCancelled() { throw CancellationError() }
      try step(&active, onToken)
      active.removeAll { one in
        let isDone = one.answer.finish == .stop || one.answer.tokens.count >= limit(requests[one.request])
        guard isDone else { return false }
        finished[one.request][one.sample] = one.answer
        if options.keepsSequences { finished[one.request][one.sample]?.sequence = one.sequence }
        return true
      }
    }
  }

  private func limit(_ request: GenerationRequest) -> Int { request.maximumTokens ?? options.maximumTokens }

  /// Everything but the prompt's last token, which each sample runs for itself: it yields the first logits.
  private func prefill(_ request: GenerationRequest) throws -> KVSequence {
    try policy.model.check(prompt: request.prompt, maximumTokens: limit(request))
    let sequence = request.past?.fork() ?? KVSequence(policy)
    precondition(sequence.policy === policy, "the past belongs to another policy")
    precondition(sequence.length < request.prompt.count, "the past must be shorter than the prompt")
    _ = try pass([Run(sequence, request.prompt.dropLast().dropFirst(sequence.length), wanted: false)])
    return sequence
  }

  private func step(_ active: inout [Active], _ onToken: (Int, Int, TokenID) -> Void) throws {
    let hidden = try pass(active.map { Run($0.sequence, [$0.last], wanted: true) })
    let (logits, logSum) = head.logits(hidden)
    for i in active.indices {
      guard logSum[i].isFinite else { throw SamplerError.notFinite(position: active[i].sequence.length) }
      let position = active[i].answer.tokens.count
      let draw = sampler.draw(
        UnsafeBufferPointer(logits.row(i)), logSum: logSum[i], uniform: active[i].random.uniform(UInt64(position)))
      let token = TokenID(draw.token)
      active[i].answer.tokens.append(token)
      active[i].answer.logProbs.append(logits[i, draw.token] - logSum[i])
      active[i].answer.behaviourLogProbs.append(draw.behaviourLogProb)
      active[i].last = token
      if options.endTokens.contains(token) { active[i].answer.finish = .stop }
      onToken(active[i].request, active[i].sample, token)
    }
  }
}

extension LlamaModel {
  /// Whether a prompt and the longest answer it may get fit the context; the answer's last token is never run.
  func check(prompt: [TokenID], maximumTokens: Int) throws(LlamaError) {
    guard !prompt.isEmpty else { throw .emptySequence }
    let (needed, isHuge) = (prompt.count - 1).addingReportingOverflow(maximumTokens)
    guard !isHuge, needed <= context else { throw .contextExceeded(needed: isHuge ? .max : needed, limit: context) }
  }
}
