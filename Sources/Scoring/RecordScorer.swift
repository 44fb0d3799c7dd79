import Llama
import Tensors
import Tokenization

/// Records in, records with log-probabilities out. Knows how text becomes tokens; the arithmetic is `Scorer`'s.
public struct RecordScorer {
  private let scorer: Scorer
  private let encoder: PromptEncoder
  private let model: LlamaModel
  private let perToken: Bool

  /// - Parameters:
  ///   - reference: another policy over the same model; scores then carry its log-probs and the ratio. Both policies share
  ///     each pass over the weights.
  ///   - perToken: whether the written records list every token.
  public init(_ policy: Policy, reference: Policy? = nil, encoder: PromptEncoder, perToken: Bool = false) {
    scorer = Scorer([policy, reference].compactMap { $0 })
    self.encoder = encoder
    model = policy.model
    self.perToken = perToken
  }

  /// Scores every record's answers; a record's numbers do not depend on the other records.
  ///
  /// - Parameters:
  ///   - onRecord: every record, in the order given, as soon as its batch is done.
  ///   - isCancelled: asked between batches; true ends the run with `CancellationError`.
  /// - Throws: `RecordFault` for a record that cannot be encoded or does not fit the context; `CancellationError`, what
  ///   `onRecord` throws.
  public func run(
    _ records: [ScoreRecord], isCancelled: () -> Bool = { Task.isCancelled },
    onRecord: (ScoredRecord) throws -> Void
  ) throws {
    let encoded = try records.enumerated().map { index, record in
      do { return try encode(record) } catch { throw RecordFault(index: index, reason: error) }
    }
    var rest = zip(records, encoded).map { $0 }[...]
    while !rest.isEmpty {
      let batch = rest.prefix(Self.recordsInFlight)
      let requests = batch.map(\.1.request)
      let scored = try scorer.logProbsPerPolicy(requests, isCancelled: isCancelled)
      let (logps, referenceLogps) = (scored[0], scored.dropFirst().first)
      for (i, (record, encoded)) in batch.enumerated() {
        let scores = encoded.request.responses.indices.map {
          AnswerScore(
            tokenIDs: encoded.request.responses[$0], logps: logps[i][$0], referenceLogps: referenceLogps?[i][$0])
        }
        try onRecord(
          ScoredRecord(
            record: record, scores: scores, perToken: perToken, splitInsideToken: encoded.splitInsideToken))
      }
      rest = rest.dropFirst(batch.count)
    }
  }

  /// Enough to fill the scorer's batches, few enough to report progress often.
  private static let recordsInFlight = 16

  private struct Encoded {
    let request: ScoreRequest
    let splitInsideToken: Bool
  }

  private func encode(_ record: ScoreRecord) throws -> Encoded {
    guard let prompt = try record.promptIDs ?? record.prompt.map({ try encoder.prompt($0) }), !prompt.isEmpty else {
      throw LlamaError.emptySequence
    }
    var splitInsideToken = false
    let responses = try record.answers.list.map { answer -> [TokenID] in
      if let ids = answer.tokenIDs { return ids }
      guard let text = answer.text, let content = record.prompt else { throw ScoreError.noTokens }
      let response = try encoder.response(text, after: content)
      splitInsideToken = splitInsideToken || !response.followsPrompt
      return response.ids
    }
    let request = ScoreRequest(prompt: prompt, responses: responses)
    guard request.positions <= model.context else {
      throw LlamaError.contextExceeded(needed: request.positions, limit: model.context)
    }
    for token in prompt + responses.joined() where Int(token) >= model.vocabularySize {
      throw LlamaError.token(token, vocabulary: model.vocabularySize)
    }
    return Encoded(request: request, splitInsideToken: splitInsideToken)
  }
}

public enum ScoreError: Error, Equatable, CustomStringConvertible {
  case noTokens

  public var description: String {
    "An answer has neither token ids nor a text with a prompt text before it. Give one of the two."
  }
}
