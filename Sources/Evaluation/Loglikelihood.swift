/// The questions of the lm-evaluation-harness (its `loglikelihood` and `loglikelihood_rolling`), answered by the same rules, so
/// that accuracies compare. Knows how its texts are cut into tokens; the arithmetic is `Scorer`'s.

import Llama
import Scoring
import Tensors
import Tokenization

/// How probable a continuation is behind its context.
public struct Loglikelihood: Equatable, Sendable {
  /// Sum over the continuation's tokens, in nats.
  public let logp: Double
  /// Whether each of these tokens is the most probable one in its place.
  public let isGreedy: Bool
  public let tokens: Int
  /// A token spans the end of the context, so the two texts have other tokens apart than together.
  public let spansCut: Bool
  /// The context's first tokens were left out, because there was no room for them.
  public let isTruncated: Bool
}

public enum LoglikelihoodError: Error, Equatable, CustomStringConvertible {
  case emptyContinuation
  case noFirstToken

  public var description: String {
    switch self {
    case .emptyContinuation: "A continuation has no tokens, so it has no log-probability. Give each choice a text."
    case .noFirstToken:
      "The model file names neither a BOS nor an EOS token, so nothing can stand before a text without context. Give a "
        + "context, or set tokenizer.ggml.bos_token_id in the file."
    }
  }
}

public struct LoglikelihoodScorer {
  private let scorer: Scorer
  private let encoder: PromptEncoder
  private let context: Int
  private var tokenizer: Tokenizer { encoder.tokenizer }

  /// - Parameter plan: of the memory; no result depends on it.
  public init(_ policy: Policy, tokenizer: Tokenizer, plan: ScorePlan = ScorePlan()) {
    scorer = Scorer(policy, plan)
    encoder = PromptEncoder(tokenizer: tokenizer, template: nil, raw: true)
    context = policy.model.context
  }

  /// Log-probability of each continuation behind its context. Neighbours with one context share its pass.
  ///
  /// Spaces at the context's end go to the continuation; both are encoded as one text, which is cut at the length of the
  /// context alone. A continuation that this leaves without tokens is encoded by itself. An empty context is BOS, or else
  /// EOS. What does not fit loses the context's first tokens.
  ///
  /// - Parameter isCancelled: asked between passes; true ends the run with `CancellationError`.
  /// - Throws: `RecordFault` with the place of a pair and a `LoglikelihoodError` or `LlamaError`.
  public func loglikelihoods(
    _ pairs: [(context: String, continuation: String)], isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [Loglikelihood] {
    var parts: [Parts] = []
    for (index, pair) in pairs.enumerated() {
      do { parts.append(try split(pair)) } catch { throw RecordFault(index: index, reason: error) }
    }
    var groups: [Range<Int>] = []
    for index in parts.indices {
      if let last = groups.last, parts[last.lowerBound].context == parts[index].context {
        groups[groups.count - 1] = last.lowerBound..<(index + 1)
      } else {
        groups.append(index..<(index + 1))
      }
    }
    let requests = groups.map {
      ScoreRequest(prompt: parts[$0.lowerBound].context, responses: parts[$0].map(\.continuation))
    }
    var results: [Loglikelihood] = []
    try scorer.run(requests, top: 1, isCancelled: isCancelled) { group, scores in
      for (part, score) in zip(parts[groups[group]], scores[0]) {
        let best = score.distributions?.map(\.top.first?.token)
        results.append(
          Loglikelihood(
            logp: score.logp, isGreedy: best == part.continuation.map { Optional($0) }, tokens: part.continuation.count,
            spansCut: part.spansCut, isTruncated: part.isTruncated))
      }
    }
    return results
  }

  /// Log-probability of whole texts: every token counts once, the first behind BOS, or else EOS. A text longer than the
  /// context goes in windows; each but the last scores as many tokens as there are positions.
  ///
  /// - Throws: as `loglikelihoods`.
  public func rolling(_ texts: [String], isCancelled: () -> Bool = { Task.isCancelled }) throws -> [Double] {
    var owners: [Int] = []
    var requests: [ScoreRequest] = []
    let first = try firstToken()
    for (index, text) in texts.enumerated() {
      let windows = Self.windows(tokenizer.encode(text, parseSpecial: true), first: first, positions: context)
      owners += windows.map { _ in index }
      requests += windows
    }
    var sums = [Double](repeating: 0, count: texts.count)
    try scorer.run(requests, isCancelled: isCancelled) { sums[owners[$0]] += $1[0][0].logp }
    return sums
  }

  /// Disjoint stretches of a text, each with as much before it as fits.
  static func windows(_ ids: [TokenID], first: TokenID, positions: Int) -> [ScoreRequest] {
    let all = [first] + ids
    var windows: [ScoreRequest] = []
    var done = 0
    while done < ids.count {
      let count = min(positions, ids.count - done)
      let end = done + count
      // `all[i]` stands before `ids[i]`.
      let start = max(0, end - positions)
      windows.append(ScoreRequest(prompt: Array(all[start...done]), responses: [Array(ids[done..<end])]))
      done = end
    }
    return windows
  }

  private struct Parts {
    var context: [TokenID]
    var continuation: [TokenID]
    var spansCut = false
    var isTruncated = false
  }

  private func split(_ pair: (context: String, continuation: String)) throws -> Parts {
    let (context, space) = pair.context.splitTrailingSpace
    let continuation = space + pair.continuation
    var parts = try context.isEmpty ? withoutContext(continuation) : together(context, continuation)
    guard !parts.continuation.isEmpty else { throw LoglikelihoodError.emptyContinuation }
    let excess = parts.context.count + parts.continuation.count - 1 - self.context
    if excess > 0 {
      guard excess < parts.context.count else {
        throw LlamaError.contextExceeded(needed: parts.continuation.count, limit: self.context)
      }
      parts.context.removeFirst(excess)
      parts.isTruncated = true
    }
    return parts
  }

  private func together(_ context: String, _ continuation: String) throws -> Parts {
    let before = try encoder.prompt(.text(context))
    let whole = try encoder.prompt(.text(context + continuation))
    var parts = Parts(context: before, continuation: Array(whole.dropFirst(before.count)))
    parts.spansCut = !whole.starts(with: before)
    if parts.continuation.isEmpty { parts.continuation = tokenizer.encode(continuation, parseSpecial: true) }
    return parts
  }

  private func withoutContext(_ continuation: String) throws -> Parts {
    let first = try firstToken()
    let ids = tokenizer.encode(continuation, parseSpecial: true)
    return ids.first == first
      ? Parts(context: [first], continuation: Array(ids.dropFirst())) : Parts(context: [first], continuation: ids)
  }

  private func firstToken() throws -> TokenID {
    guard let first = tokenizer.bos ?? tokenizer.eos else { throw LoglikelihoodError.noFirstToken }
    return first
  }
}

extension String {
  /// The text without the white space at its end, and that space.
  fileprivate var splitTrailingSpace: (text: String, space: String) {
    let scalars = unicodeScalars
    let end = scalars.lastIndex { !$0.properties.isWhitespace && !(0x1C...0x1F).contains($0.value) }
    let cut = end.map { scalars.index(after: $0) } ?? scalars.startIndex
    return (String(scalars[..<cut]), String(scalars[cut...]))
  }
}
