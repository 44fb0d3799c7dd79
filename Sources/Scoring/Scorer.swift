import Llama
import Tensors

/// A prompt and the answers whose log-probabilities are wanted, as token ids.
public struct ScoreRequest: Sendable {
  public let prompt: [TokenID]
  public let responses: [[TokenID]]

  public init(prompt: [TokenID], responses: [[TokenID]]) {
    self.prompt = prompt
    self.responses = responses
  }

  /// Positions the longest answer is run at; its last token predicts nothing.
  public var positions: Int { prompt.count + max(0, (responses.map(\.count).max() ?? 0) - 1) }
  /// Tokens that are run: the prompt counts once, however many answers follow it.
  public var distinctTokens: Int { responses.reduce(prompt.count) { $0 + $1.count } }
}

/// One answer under one policy.
public struct ResponseScore: Equatable, Sendable {
  /// In nats, one per token.
  public let logps: [Float]
  /// What each token was predicted from, when it was asked for.
  public let distributions: [TokenDistribution]?

  public var logp: Double { logps.logProbSum }

  public init(logps: [Float], distributions: [TokenDistribution]? = nil) {
    self.logps = logps
    self.distributions = distributions
  }
}

/// Exact log-probabilities of answers under one policy, or under several at the cost of one pass over the weights. A prompt
/// is run once for all its answers; neither packing nor company changes a bit.
public final class Scorer {
  private let policies: [Policy]
  private let model: LlamaModel
  private let pass: ForwardPass
  private let head: Head
  private let plan: ScorePlan

  public convenience init(_ policy: Policy, _ plan: ScorePlan = ScorePlan()) { self.init([policy], plan) }

  /// - Parameter plan: of the memory; no result depends on it.
  /// - Precondition: at least one policy, all over the same model.
  public init(_ policies: [Policy], _ plan: ScorePlan = ScorePlan()) {
    precondition(!policies.isEmpty, "a scorer needs a policy")
    model = policies[0].model
    self.policies = policies
    self.plan = plan
    pass = ForwardPass(model, maximumRows: plan.passRows)
    head = Head(model)
  }

  /// - Parameter top: as of `run`.
  private func batches(top: Int?) -> ScoreBatches {
    // Log-prob and entropy with the list around them; an id and its log-prob.
    let perToken = MemoryLayout<Float>.stride + (top.map { 64 + $0 * MemoryLayout<TokenLogProb>.stride } ?? 0)
    return ScoreBatches(
      pageBytes: plan.pageBytes, bytesPerPage: policies.count * KVSequence.pageBytes(model),
      bytesPerToken: policies.count * perToken)
  }

  /// - Parameter top: as of `run`.
  /// - Throws: `LlamaError` for an empty prompt, a token outside the vocabulary, or a sequence beyond the context;
  ///   `ScoreError.memory` for a request that the plan's budget has no room for.
  public func check(_ request: ScoreRequest, top: Int? = nil) throws {
    guard !request.prompt.isEmpty else { throw LlamaError.emptySequence }
    guard request.positions <= model.context else {
      throw LlamaError.contextExceeded(needed: request.positions, limit: model.context)
    }
    for tokens in [request.prompt] + request.responses {
      for token in tokens where Int(token) >= model.vocabularySize {
        throw LlamaError.token(token, vocabulary: model.vocabularySize)
      }
    }
    try plan.check(batches(top: top).bytes(request))
  }

  /// Per-token log-probabilities in nats, `result[request][response][token]`; an empty response has none. For a scorer of
  /// one policy; parameters and errors are those of `run`.
  public func logProbs(
    _ requests: [ScoreRequest], onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [[[Float]]] {
    precondition(policies.count == 1, "\(policies.count) policies give as many results: use logProbsPerPolicy")
    return try logProbsPerPolicy(requests, onProgress: onProgress, isCancelled: isCancelled)[0]
  }

  /// Per-token log-probabilities in nats, `result[policy][request][response][token]`; an empty response has none.
  /// Parameters and errors are those of `run`.
  public func logProbsPerPolicy(
    _ requests: [ScoreRequest], onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [[[[Float]]]] {
    var results = policies.map { _ in [[[Float]]]() }
    try run(requests, onProgress: onProgress, isCancelled: isCancelled) { _, scores in
      for (policy, responses) in scores.enumerated() { results[policy].append(responses.map(\.logps)) }
    }
    return results
  }

  /// Scores every request. Requests of like length share batches; results come in the order given.
  ///
  /// - Parameters:
  ///   - top: with a number, each token comes with its distribution's entropy and this many most probable tokens.
  ///   - onProgress: after each batch, how many requests are done, in whatever order.
  ///   - isCancelled: asked between passes; true ends the run with `CancellationError`.
  ///   - onResult: index of a request, and `scores[policy][response]`.
  /// - Throws: what `check` throws, before anything is computed; `CancellationError`, what `onResult` throws.
  public func run(
    _ requests: [ScoreRequest], top: Int? = nil, onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled },
    onResult: (_ index: Int, _ scores: [[ResponseScore]]) throws -> Void
  ) throws {
    for request in requests { try check(request, top: top) }
    var next = 0
    var done = 0
    var waiting: [Int: [[ResponseScore]]] = [:]
    try batches(top: top).forEach(in: requests) { batch in
      let scored = try score(batch.map { requests[$0] }, top: top, isCancelled: isCancelled)
      for (place, index) in batch.enumerated() { waiting[index] = scored.map { $0[place] } }
      done += batch.count
      while let scores = waiting.removeValue(forKey: next) {
        try onResult(next, scores)
        next += 1
      }
      onProgress(done)
    }
  }

  /// - Returns: `[policy][request][response]`.
  private func score(
    _ requests: [ScoreRequest], top: Int?, isCancelled: () -> Bool
  ) throws -> [[[ResponseScore]]] {
    let jobs = policies.flatMap { policy in requests.map { (request: $0, prompt: KVSequence(policy)) } }
    for runs in passes(jobs.map { Run($0.prompt, $0.request.prompt.dropLast(), wanted: false) }) {
      if isCancelled() { throw CancellationError() }
      _ = try pass(runs)
    }

    // Each answer runs the prompt's last token for itself: that row predicts its first token.
    var runs: [Run] = []
    var targets: [TokenID] = []
    for (request, prompt) in jobs {
      for response in request.responses where !response.isEmpty {
        runs.append(Run(prompt.fork(), request.prompt.suffix(1) + response.dropLast(), wanted: true))
        targets += response
      }
    }
    var tokens: [TokenScore] = []
    for runs in passes(runs) {
      if isCancelled() { throw CancellationError() }
      let rows = try pass(runs)
      tokens += try score(rows, Array(targets[tokens.count..<(tokens.count + rows.rows)]), top: top)
    }

    var rest = tokens[...]
    return policies.map { _ in
      requests.map { request in
        request.responses.map { response in
          defer { rest = rest.dropFirst(response.count) }
          let own = rest.prefix(response.count)
          return ResponseScore(
            logps: own.map(\.logp), distributions: top == nil ? nil : own.compactMap(\.distribution))
        }
      }
    }
  }

  private struct TokenScore {
    let logp: Float
    let distribution: TokenDistribution?
  }

  private func score(_ rows: HiddenRows, _ targets: [TokenID], top: Int?) throws -> [TokenScore] {
    guard let top else {
      return try head.logProbs(rows, targets: targets).map { TokenScore(logp: $0, distribution: nil) }
    }
    return try head.distributions(rows, targets: targets, top: top).map { TokenScore(logp: $0.logp, distribution: $0) }
  }

  /// The runs cut where a pass is full, so that all passes but the last are, and a cancelled run ends soon.
  private func passes(_ runs: [Run]) -> [[Run]] {
    var passes: [[Run]] = []
    var current: [Run] = []
    var room = pass.maximumRows
    for run in runs {
      var rest = run.tokens
      while !rest.isEmpty {
        let part = rest.prefix(room)
        current.append(Run(run.sequence, part, wanted: run.wanted))
        rest = rest.dropFirst(part.count)
        room -= part.count
        if room == 0 {
          passes.append(current)
          (current, room) = ([], pass.maximumRows)
        }
      }
    }
    return current.isEmpty ? passes : passes + [current]
  }
}
