import Llama
import Tensors
import Tokenization

/// An answer in the making.
struct Answering {
  let request: Int
  let sample: Int
  let maximumTokens: Int
  let sequence: KVSequence
  private let draws: CounterRandom
  private let chances: CounterRandom
  /// What the next draw depends on.
  var situation: DrawSituation
  var text: AnswerText?
  var result = Sample()
  private(set) var last: TokenID
  private(set) var isFinished = false

  init(
    _ request: GenerationRequest, place: Int, sample: Int, maximumTokens: Int, seed: UInt64, sequence: KVSequence,
    text: AnswerText?
  ) {
    self.request = place
    self.sample = sample
    self.maximumTokens = maximumTokens
    self.sequence = sequence
    self.text = text
    draws = CounterRandom(seed: seed, UInt64(request.index), UInt64(sample))
    chances = CounterRandom(seed: seed, UInt64(request.index), UInt64(sample), CounterRandom.key("chance"))
    situation = DrawSituation(uniform: draws.uniform(0), chance: chances.uniform(0), history: request.prompt)
    last = request.prompt[request.prompt.count - 1]
  }

  mutating func append(_ token: TokenID, _ logProb: Float, _ behaviourLogProb: Float) {
    result.tokens.append(token)
    result.logProbs.append(logProb)
    result.behaviourLogProbs.append(behaviourLogProb)
    last = token
    let position = UInt64(result.tokens.count)
    (situation.uniform, situation.chance) = (draws.uniform(position), chances.uniform(position))
    situation.history.append(token)
  }

  mutating func end(_ finish: Finish) {
    result.finish = finish
    isFinished = true
  }
}

/// Which answers are in flight, and what memory they have been promised. Answers begin in order, each as soon as pages for its
/// longest form are free, so that none is ever thrown out again.
struct Schedule {
  private let requests: [GenerationRequest]
  private let policy: Policy
  private let plan: MemoryPlan
  private let options: GenerationOptions
  private let tokenizer: Tokenizer?

  /// Answers not begun, in order.
  private var waiting: ArraySlice<(request: Int, sample: Int)>
  /// Answers that have their pages and wait for their prompt to be computed, in order.
  private var promised: ArraySlice<(request: Int, sample: Int)> = []
  private var prompts: [Int: Prompt] = [:]
  var active: [Answering] = []
  private var freePages: Int

  private struct Prompt {
    /// Everything but the prompt's last token, which each sample runs for itself: it yields the first logits.
    let sequence: KVSequence
    /// What is still to be run.
    var rest: ArraySlice<TokenID>
    /// Answers that are not finished.
    var samplesLeft: Int
  }

  init(
    _ requests: [GenerationRequest], _ policy: Policy, _ plan: MemoryPlan, _ options: GenerationOptions,
    _ tokenizer: Tokenizer?
  ) {
    self.requests = requests
    self.policy = policy
    self.plan = plan
    self.options = options
    self.tokenizer = tokenizer
    waiting = requests.indices.flatMap { r in (0..<requests[r].samples).map { (request: r, sample: $0) } }[...]
    freePages = plan.pages
  }

  /// Whether nothing is in flight; after `admit`, nothing is left either.
  var isDone: Bool { active.isEmpty && promised.isEmpty }

  /// Promises pages to answers while there are any, and begins those whose prompt is computed.
  mutating func admit() {
    while let next = waiting.first, active.count + promised.count < options.maximumSequences {
      let pages = pages(next.request)
      let needed = pages.answer + (prompts[next.request] == nil ? pages.prompt : 0)
      guard needed <= freePages else { break }
      freePages -= needed
      if prompts[next.request] == nil { prompts[next.request] = prompt(requests[next.request]) }
      promised.append(next)
      waiting.removeFirst()
    }
    while let next = promised.first, let prompt = prompts[next.request], prompt.rest.isEmpty {
      promised.removeFirst()
      active.append(
        Answering(
          requests[next.request], place: next.request, sample: next.sample, maximumTokens: limit(next.request),
          seed: options.seed, sequence: prompt.sequence.fork(),
          text: tokenizer.map { AnswerText($0, stopStrings: options.stopStrings) }))
    }
  }

  /// The next rows of prompts that answers wait for, in order; at least one row when nothing else goes on.
  mutating func takePromptRuns(rows: Int) -> [Run] {
    var runs: [Run] = []
    var room = max(rows, active.isEmpty ? 1 : 0)
    var last: Int?
    for next in promised where next.request != last && room > 0 {
      last = next.request
      guard var prompt = prompts[next.request] else { continue }
      let piece = prompt.rest.prefix(room)
      runs.append(Run(prompt.sequence, piece, wanted: false))
      prompt.rest = prompt.rest.dropFirst(piece.count)
      prompts[next.request] = prompt
      room -= piece.count
    }
    return runs
  }

  /// Takes out the answers that are done and gives their pages back.
  mutating func removeFinished() -> [Answering] {
    let finished = active.filter(\.isFinished)
    active.removeAll(where: \.isFinished)
    return finished.map { answer in
      let pages = pages(answer.request)
      freePages += pages.answer
      prompts[answer.request]?.samplesLeft -= 1
      if prompts[answer.request]?.samplesLeft == 0 {
        prompts[answer.request] = nil
        freePages += pages.prompt
      }
      var answer = answer
      if options.keepsSequences { answer.result.sequence = answer.sequence }
      return answer
    }
  }

  private func limit(_ request: Int) -> Int { requests[request].maximumTokens ?? options.maximumTokens }

  private func pages(_ request: Int) -> (prompt: Int, answer: Int) {
    plan.pages(of: requests[request], maximumTokens: limit(request))
  }

  private func prompt(_ request: GenerationRequest) -> Prompt {
    let sequence = request.past?.fork() ?? KVSequence(policy)
    precondition(sequence.policy === policy, "the past belongs to another policy")
    precondition(sequence.length < request.prompt.count, "the past must be shorter than the prompt")
    return Prompt(
      sequence: sequence, rest: request.prompt.dropLast().dropFirst(sequence.length), samplesLeft: request.samples)
  }
}
