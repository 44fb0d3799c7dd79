import Llama
import Tensors
import Tokenization

/// What is written of each token, beside the sums of each answer.
public struct ScoreDetail: Equatable, Sendable {
  /// Ids and log-probs.
  public let perToken: Bool
  /// Entropy of the distribution each token was predicted from, in nats.
  public let entropy: Bool
  /// How many of the most probable tokens are listed in each place.
  public let top: Int

  /// Entropy and alternatives are listed token by token, so either of them asks for the tokens too.
  public init(perToken: Bool = false, entropy: Bool = false, top: Int = 0) {
    self.perToken = perToken || entropy || top > 0
    self.entropy = entropy
    self.top = top
  }
}

/// Records in, records with log-probabilities out. Knows how text becomes tokens; the arithmetic is `Scorer`'s.
public struct RecordScorer {
  private let scorer: Scorer
  private let encoder: PromptEncoder
  private let plain: PromptEncoder
  private let detail: ScoreDetail
  private let names: [String]?
  private let reference: Int?

  /// One policy, whose scores are fields of the record itself.
  ///
  /// - Parameters:
  ///   - reference: another policy over the same model; scores then carry its log-probs and the ratio. Both policies share
  ///     each pass over the weights.
  ///   - memory: bytes that may be held beside the model; without it, as a `ScorePlan` has it.
  public init(
    _ policy: Policy, reference: Policy? = nil, encoder: PromptEncoder, detail: ScoreDetail = ScoreDetail(),
    memory: Int? = nil
  ) {
    self.init(
      [policy, reference].compactMap { $0 }, names: nil, reference: reference == nil ? nil : 1, encoder: encoder,
      detail: detail, memory: memory)
  }

  /// Several policies over one model in one pass over its weights; each one's scores are written under its name.
  ///
  /// - Parameter reference: the name of the one that the others' ratios are to.
  /// - Precondition: at least one policy, and no name twice.
  public init(
    _ policies: [(name: String, policy: Policy)], reference: String? = nil, encoder: PromptEncoder,
    detail: ScoreDetail = ScoreDetail(), memory: Int? = nil
  ) {
    let names = policies.map(\.name)
    precondition(Set(names).count == names.count, "two of the policies \(names) share a name")
    precondition(reference.map(names.contains) != false, "the reference is none of the policies \(names)")
    self.init(
      policies.map(\.policy), names: names, reference: reference.flatMap(names.firstIndex), encoder: encoder,
      detail: detail, memory: memory)
  }

  private init(
    _ policies: [Policy], names: [String]?, reference: Int?, encoder: PromptEncoder, detail: ScoreDetail, memory: Int?
  ) {
    scorer = Scorer(policies, memory.map { ScorePlan(policies, memory: $0) } ?? ScorePlan())
    self.encoder = encoder
    plain = PromptEncoder(tokenizer: encoder.tokenizer, template: nil, raw: true)
    self.detail = detail
    self.names = names
    self.reference = reference
  }

  /// Scores every record's answers; a record's numbers do not depend on the other records.
  ///
  /// - Parameters:
  ///   - onFault: gets each record that cannot be scored, which is then left out; without it the first one ends the run.
  ///   - isCancelled: asked between passes over the weights; true ends the run with `CancellationError`.
  ///   - onRecord: every record, in the order given, as soon as it and those before it are done.
  /// - Throws: `RecordFault` for a record that cannot be encoded or does not fit the context; `CancellationError`, what
  ///   `onFault` and `onRecord` throw.
  public func run(
    _ records: [ScoreRecord], onFault: ((RecordFault) throws -> Void)? = nil,
    isCancelled: () -> Bool = { Task.isCancelled }, onRecord: (ScoredRecord) throws -> Void
  ) throws {
    var encoded: [Encoded] = []
    for (index, record) in records.enumerated() {
      do {
        encoded.append(try encode(record))
      } catch {
        let fault = RecordFault(index: index, reason: error)
        guard let onFault else { throw fault }
        try onFault(fault)
      }
    }
    try scorer.run(encoded.map(\.request), top: top, isCancelled: isCancelled) { index, scores in
      let one = encoded[index]
      let answers = one.request.responses.indices.map { answer in
        AnswerScore(
          tokenIDs: one.request.responses[answer], scores: scores.map { $0[answer] }, reference: reference)
      }
      try onRecord(
        ScoredRecord(
          record: one.record, scores: answers, splitInsideToken: one.splitInsideToken,
          distinctTokens: one.request.distinctTokens, firstID: one.firstID, detail: detail, names: names,
          tokenizer: encoder.tokenizer))
    }
  }

  /// As of `Scorer.run`.
  private var top: Int? { detail.entropy || detail.top > 0 ? detail.top : nil }

  private struct Encoded {
    let record: ScoreRecord
    let request: ScoreRequest
    var splitInsideToken = false
    var firstID: TokenID?
  }

  private func encode(_ record: ScoreRecord) throws -> Encoded {
    let encoded = try encodeUnchecked(record)
    guard !encoded.request.prompt.isEmpty else { throw LlamaError.emptySequence }
    guard encoded.request.responses.allSatisfy({ !$0.isEmpty }) else { throw ScoreError.emptyAnswer }
    try scorer.check(encoded.request, top: top)
    return encoded
  }

  private func encodeUnchecked(_ record: ScoreRecord) throws -> Encoded {
    if case .whole(let text) = record.answers {
      let ids = try text.tokenIDs ?? plain.prompt(.text(text.text ?? ""))
      let request = ScoreRequest(prompt: Array(ids.prefix(1)), responses: [Array(ids.dropFirst())])
      return Encoded(record: record, request: request, firstID: ids.first)
    }
    let inputs = try TemplateInputs(record.fields)
    guard let prompt = try record.promptIDs ?? record.prompt.map({ try encoder.prompt($0, inputs) }) else {
      throw LlamaError.emptySequence
    }
    var splitInsideToken = false
    let responses = try record.answers.list.map { answer -> [TokenID] in
      if let ids = answer.tokenIDs { return ids }
      guard let text = answer.text, let content = record.prompt else { throw ScoreError.noTokens }
      let response = try encoder.response(text, after: content, inputs)
      splitInsideToken = splitInsideToken || !response.followsPrompt
      return response.ids
    }
    return Encoded(
      record: record, request: ScoreRequest(prompt: prompt, responses: responses), splitInsideToken: splitInsideToken)
  }
}

public enum ScoreError: Error, Equatable, CustomStringConvertible {
  case noTokens
  case emptyAnswer
  /// Bytes.
  case memory(needed: Int, budget: Int)

  public var description: String {
    switch self {
    case .noTokens: "An answer has neither token ids nor a text with a prompt text before it. Give one of the two."
    case .emptyAnswer:
      "An answer has no tokens, or a text only the one that nothing predicts, so there is no log-probability. Give at least "
        + "one token to score."
    case .memory(let needed, let budget):
      "It needs about \((needed >> 20) + 1) MiB beside the model, the budget is \(budget >> 20) MiB. Raise --memory, or keep keys "
        + "and values smaller with --kv."
    }
  }
}
