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

/// Exact log-probabilities of answers under one policy. A prompt is run once for all its answers; packing changes no bit.
public final class Scorer {
  private let policy: Policy
  private let pass: ForwardPass
  private let head: Head

  public init(_ policy: Policy, maximumRows: Int = 512) {
    self.policy = policy
    pass = ForwardPass(policy, maximumRows: maximumRows)
    head = Head(policy.model)
  }

  /// Per-token log-probabilities in nats, `result[request][response][token]`; an empty response has none.
  ///
  /// - Parameters:
  ///   - onProgress: after each batch, how many requests are done.
  ///   - isCancelled: asked between batches; true ends the run with `CancellationError`.
  /// - Throws: `LlamaError` for an empty prompt, a token outside the vocabulary, or a sequence beyond the context.
  public func logProbs(
    _ requests: [ScoreRequest], onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [[[Float]]] {
    var results: [[[Float]]] = []
    var rest = requests[...]
    while !rest.isEmpty {
      if isCancelled() { throw CancellationError() }
      let batch = nextBatch(rest)
      results += try score(batch)
      rest = rest.dropFirst(batch.count)
      onProgress(results.count)
    }
    return results
  }

  /// As many requests as fill the working memory, at least one.
  private func nextBatch(_ requests: ArraySlice<ScoreRequest>) -> ArraySlice<ScoreRequest> {
    var rows = 0
    return requests.prefix { request in
      let isFirst = rows == 0
      rows += request.responses.reduce(request.prompt.count) { $0 + $1.count }
      return isFirst || rows <= pass.maximumRows
    }
  }

  private func score(_ requests: ArraySlice<ScoreRequest>) throws -> [[[Float]]] {
    let model = policy.model
    for request in requests {
      guard !request.prompt.isEmpty else { throw LlamaError.emptySequence }
      guard request.positions <= model.context else {
        throw LlamaError.contextExceeded(needed: request.positions, limit: model.context)
      }
    }
    let prompts = requests.map { _ in KVSequence(model) }
    _ = try pass(zip(requests, prompts).map { Run($1, $0.prompt.dropLast(), wanted: false) })

    // Each answer runs the prompt's last token for itself: that row predicts its first token.
    var runs: [Run] = []
    var targets: [TokenID] = []
    for (request, prompt) in zip(requests, prompts) {
      for response in request.responses where !response.isEmpty {
        runs.append(Run(prompt.fork(), request.prompt.suffix(1) + response.dropLast(), wanted: true))
        targets += response
      }
    }
    var logProbs = try head.logProbs(pass(runs), targets: targets)[...]
    return requests.map { request in
      request.responses.map { response in
        defer { logProbs = logProbs.dropFirst(response.count) }
        return Array(logProbs.prefix(response.count))
      }
    }
  }
}
