import Llama
import Tensors

/// A prompt and the answers whose log-probabilities are wanted, as token ids.
public struct ScoreRequest {
  public let prompt: [TokenID]
  public let responses: [[TokenID]]

  public init(prompt: [TokenID], responses: [[TokenID]]) {
    self.prompt = prompt
    self.responses = responses
  }

  /// Positions the longest answer is run at; its last token predicts nothing.
  public var positions: Int { prompt.count + max(0, (responses.map(\.count).max() ?? 0) - 1) }
}

/// Exact log-probabilities of answers under one policy, or under several at the cost of one pass over the weights. A prompt
/// is run once for all its answers; neither packing nor company changes a bit.
public final class Scorer {
  private let policies: [Policy]
  private let model: LlamaModel
  private let pass: ForwardPass
  private let head: Head

  public convenience init(_ policy: Policy, maximumRows: Int = 512) {
    self.init([policy], maximumRows: maximumRows)
  }

  /// - Precondition: at least one policy, all over the same model.
  public init(_ policies: [Policy], maximumRows: Int = 512) {
    precondition(!policies.isEmpty, "a scorer needs a policy")
    model = policies[0].model
    self.policies = policies
    pass = ForwardPass(model, maximumRows: maximumRows)
    head = Head(model)
  }

  /// Per-token log-probabilities in nats, `result[request][response][token]`; an empty response has none. For a scorer of
  /// one policy; parameters and errors are those of `logProbsPerPolicy`.
  public func logProbs(
    _ requests: [ScoreRequest], onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [[[Float]]] {
    precondition(policies.count == 1, "\(policies.count) policies give as many results: use logProbsPerPolicy")
    return try logProbsPerPolicy(requests, onProgress: onProgress, isCancelled: isCancelled)[0]
  }

  /// Per-token log-probabilities in nats, `result[policy][request][response][token]`; an empty response has none.
  ///
  /// - Parameters:
  ///   - onProgress: after each batch, how many requests are done.
  ///   - isCancelled: asked between batches; true ends the run with `CancellationError`.
  /// - Throws: `LlamaError` for an empty prompt, a token outside the vocabulary, or a sequence beyond the context.
  public func logProbsPerPolicy(
    _ requests: [ScoreRequest], onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [[[[Float]]]] {
    var results = policies.map { _ in [[[Float]]]() }
    var rest = requests[...]
    while !rest.isEmpty {
      if isCancelled() { throw CancellationError() }
      let batch = nextBatch(rest)
      for (i, scored) in try score(batch).enumerated() { results[i] += scored }
      rest = rest.dropFirst(batch.count)
      onProgress(requests.count - rest.count)
    }
    return results
  }

  /// As many requests as fill the working memory under all policies, at least one.
  private func nextBatch(_ requests: ArraySlice<ScoreRequest>) -> ArraySlice<ScoreRequest> {
    var rows = 0
    return requests.prefix { request in
      let isFirst = rows == 0
      rows += policies.count * request.responses.reduce(request.prompt.count) { $0 + $1.count }
      return isFirst || rows <= pass.maximumRows
    }
  }

  private func score(_ requests: ArraySlice<ScoreRequest>) throws -> [[[[Float]]]] {
    for request in requests {
      guard !request.prompt.isEmpty else { throw LlamaError.emptySequence }
      guard request.positions <= model.context else {
        throw LlamaError.contextExceeded(needed: request.positions, limit: model.context)
      }
    }
    let jobs = policies.flatMap { policy in requests.map { (request: $0, prompt: KVSequence(policy)) } }
    _ = try pass(jobs.map { Run($0.prompt, $0.request.prompt.dropLast(), wanted: false) })

    // Each answer runs the prompt's last token for itself: that row predicts its first token.
    var runs: [Run] = []
    var targets: [TokenID] = []
    for (request, prompt) in jobs {
      for response in request.responses where !response.isEmpty {
        runs.append(Run(prompt.fork(), request.prompt.suffix(1) + response.dropLast(), wanted: true))
        targets += response
      }
    }
    var logProbs = try head.logProbs(pass(runs), targets: targets)[...]
    return policies.map { _ in
      requests.map { request in
        request.responses.map { response in
          defer { logProbs = logProbs.dropFirst(response.count) }
          return Array(logProbs.prefix(response.count))
        }
      }
    }
  }
}
