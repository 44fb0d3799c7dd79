import Tensors

/// Which requests are run together: those of like length, as many as the memory for keys and values takes.
struct ScoreBatches {
  /// Keys and values held at once.
  let pageBytes: Int
  /// 64 positions under every policy.
  let bytesPerPage: Int
  /// What is kept of each scored token, under every policy, until it is its turn.
  let bytesPerToken: Int

  /// Requests are looked ahead this many times the memory of a batch, to find some of like length: results wait for the
  /// ones before them no longer than that.
  private static let batchesAhead = 4
  private static let requestsAhead = 256

  /// Bytes of a request: its prompt's pages, for each answer those it does not share with the prompt, and its results, which
  /// may wait as long as batches are looked ahead.
  func bytes(_ request: ScoreRequest) -> Int {
    let positions = AttentionShape.pagePositions
    func pages(_ count: Int) -> Int { (count + positions - 1) / positions }
    let prompt = request.prompt.count - 1
    let shared = prompt / positions
    let answers = request.responses.filter { !$0.isEmpty }.map { pages(prompt + $0.count) - shared }
    let tokens = request.responses.reduce(0) { $0 + $1.count }
    return answers.reduce(pages(prompt), +) * bytesPerPage + Self.batchesAhead * tokens * bytesPerToken
  }

  /// - Parameter body: gets indices of requests; every request comes once.
  func forEach(in requests: [ScoreRequest], _ body: ([Int]) throws -> Void) rethrows {
    var rest = requests.indices
    while !rest.isEmpty {
      let window = prefix(rest, within: Self.batchesAhead * pageBytes, of: requests).prefix(Self.requestsAhead)
      var sorted = window.sorted { requests[$0].distinctTokens > requests[$1].distinctTokens }[...]
      while !sorted.isEmpty {
        let batch = prefix(sorted, within: pageBytes, of: requests)
        try body(Array(batch))
        sorted = sorted.dropFirst(batch.count)
      }
      rest = rest.dropFirst(window.count)
    }
  }

  /// As many of the first as fit, at least one.
  private func prefix<Indices: Collection<Int>>(
    _ indices: Indices, within bytes: Int, of requests: [ScoreRequest]
  ) -> Indices.SubSequence {
    var held = 0
    return indices.prefix { index in
      let isFirst = held == 0
      held += max(1, self.bytes(requests[index]))
      return isFirst || held <= bytes
    }
  }
}
