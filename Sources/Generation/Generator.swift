import Llama
import Tensors
import Tokenization

/// Samples answers: a batch that is kept full. Each prompt is run once and forked for its samples; a finished answer makes
/// room for the next, whose prompt is run in the same passes in which the others go on. What is drawn depends on (seed,
/// request index, sample index, position) and the policy alone.
public final class Generator {
  private let policy: Policy
  private let options: GenerationOptions
  private let tokenizer: Tokenizer?
  private let plan: MemoryPlan
  private let pass: ForwardPass
  private let head: Head
  private let sampler: Sampler

  /// - Parameter tokenizer: gives tokens and answers their text, and finds stop strings.
  /// - Throws: `SamplerError` for values that make no sense.
  /// - Precondition: stop strings, if there are any, are not empty and come with a tokenizer.
  public init(_ policy: Policy, _ options: GenerationOptions, tokenizer: Tokenizer? = nil) throws {
    precondition(options.stopStrings.isEmpty || tokenizer != nil, "stop strings need a tokenizer")
    precondition(!options.stopStrings.contains(""), "an empty stop string would end every answer")
    try options.sampler.check()
    self.policy = policy
    self.options = options
    self.tokenizer = tokenizer
    plan = MemoryPlan(policy, budget: options.memory)
    pass = ForwardPass(policy.model, maximumRows: plan.passRows)
    head = Head(policy.model)
    sampler = Sampler(config: options.sampler, kernels: policy.model.kernels)
  }

  /// Generates all requests.
  ///
  /// - Parameters:
  ///   - onToken: every new token.
  ///   - onFinish: every request's answers, in the order of `requests`, as soon as they and all before are done.
  /// - Throws: before the first token `LlamaError` and `GenerationError` for a request that does not fit; then
  ///   `SamplerError`, `CancellationError`, what the closures throw.
  public func run(
    _ requests: [GenerationRequest], onToken: (GeneratedToken) throws -> Void = { _ in },
    onFinish: (Int, [Sample]) throws -> Void
  ) throws {
    for request in requests { try plan.check(request, maximumTokens: limit(request)) }
    var schedule = Schedule(requests, policy, plan, options, tokenizer)
    var finished = requests.map { [Sample?](repeating: nil, count: $0.samples) }
    var reported = 0
    while true {
      schedule.admit()
      while reported < requests.count, finished[reported].allSatisfy({ $0 != nil }) {
        try onFinish(reported, finished[reported].compactMap { $0 })
        finished[reported] = []
        reported += 1
      }
      if schedule.isDone { return }
      if options.isCancelled() || Task.isCancelled { throw CancellationError() }
      try step(&schedule, onToken)
      for answer in schedule.removeFinished() { finished[answer.request][answer.sample] = answer.result }
    }
  }

  private func limit(_ request: GenerationRequest) -> Int { request.maximumTokens ?? options.maximumTokens }

  /// One pass: every answer's next token, and as much of the prompts that wait as the pass has rows for.
  private func step(_ schedule: inout Schedule, _ onToken: (GeneratedToken) throws -> Void) throws {
    let prompts = schedule.takePromptRuns(rows: plan.passRows - schedule.active.count)
    let hidden = try pass(schedule.active.map { Run($0.sequence, [$0.last], wanted: true) } + prompts)
    let count = schedule.active.count
    for first in stride(from: 0, to: count, by: plan.headRows) {
      let rows = first..<min(first + plan.headRows, count)
      let (logits, logSum) = head.logits(HiddenRows(hidden.matrix.rows(rows), policy))
      for (row, place) in rows.enumerated() {
        try draw(UnsafeBufferPointer(logits.row(row)), logSum[row], &schedule.active[place], onToken)
      }
    }
  }

  private func draw(
    _ logits: UnsafeBufferPointer<Float>, _ logSum: Float, _ one: inout Answering,
    _ onToken: (GeneratedToken) throws -> Void
  ) throws {
    guard logSum.isFinite else { throw SamplerError.notFinite(position: one.sequence.length) }
    let draw = try sampler.draw(logits, logSum: logSum, one.situation)
    one.situation.surpriseLimit = sampler.surpriseLimit(after: draw, one.situation.surpriseLimit)
    let token = TokenID(draw.token)
    let logProb = logits[draw.token] - logSum
    one.append(token, logProb, draw.behaviourLogProb)
    var text = one.text?.push(token) ?? ""
    if options.endTokens.contains(token) || one.text?.isStopped == true {
      one.end(.stop)
    } else if one.result.tokens.count >= one.maximumTokens {
      one.end(.length)
    }
    if one.isFinished { text += one.text?.finish() ?? "" }
    one.result.text += text
    try onToken(
      GeneratedToken(
        request: one.request, sample: one.sample, token: token, logProb: logProb,
        behaviourLogProb: draw.behaviourLogProb, text: text, finish: one.isFinished ? one.result.finish : nil))
  }
}
