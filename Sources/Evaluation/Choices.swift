/// Multiple choice: which of several continuations a model takes for the most probable, and how often that is the right one.

import Llama
import Scoring
import Tokenization

/// `{"context", "choices": […], "answer": i}`; `answer` counts from 0. Unknown fields are carried through.
public struct ChoiceRecord: Decodable, Sendable {
  public let context: String
  public let choices: [String]
  public let answer: Int
  /// The whole record as it was read.
  public let fields: [String: JSONValue]

  private enum CodingKeys: String, CodingKey {
    case context, choices, answer
  }

  public init(from decoder: any Decoder) throws {
    fields = try [String: JSONValue](from: decoder)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    context = try container.decode(String.self, forKey: .context)
    choices = try container.decode([String].self, forKey: .choices)
    answer = try container.decode(Int.self, forKey: .answer)
    guard choices.indices.contains(answer) else {
      throw DecodingError.dataCorruptedError(
        forKey: .answer, in: container, debugDescription: "\(answer) is none of the \(choices.count) choices, from 0")
    }
  }
}

/// A record with what the model says to each choice.
public struct ScoredChoices: Encodable, Sendable {
  public let record: ChoiceRecord
  /// One per choice.
  public let scores: [Loglikelihood]

  /// The choice with the largest sum; of equal ones the first.
  public var predicted: Int { best { _ in 1 } }
  /// With the largest sum per character (Unicode scalars, as Python counts) of the choice.
  public var predictedByLength: Int { best { $0.unicodeScalars.count } }
  /// With the largest sum per byte of the choice.
  public var predictedByBytes: Int { best { $0.utf8.count } }

  private func best(_ length: (String) -> Int) -> Int {
    let values = zip(scores, record.choices).map { $0.logp / Double(length($1)) }
    return values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
  }

  private enum CodingKeys: String, CodingKey {
    case predicted
    case predictedByLength = "predicted_norm"
    case logps = "choice_logps"
    case isGreedy = "choice_is_greedy"
    case tokens = "choice_tokens"
  }

  public func encode(to encoder: any Encoder) throws {
    try record.fields.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(predicted, forKey: .predicted)
    try container.encode(predictedByLength, forKey: .predictedByLength)
    try container.encode(scores.map(\.logp), forKey: .logps)
    try container.encode(scores.map(\.isGreedy), forKey: .isGreedy)
    try container.encode(scores.map(\.tokens), forKey: .tokens)
  }
}

/// Accuracies under the harness's names, with standard errors of means over records.
public struct ChoiceAccuracy: Codable, Equatable, Sendable {
  public let records: Int
  /// The largest sum is the right one's.
  public let acc: Double
  public let accStderr: Double
  /// The largest sum per character.
  public let accNorm: Double
  public let accNormStderr: Double
  /// The largest sum per byte.
  public let accBytes: Double
  public let accBytesStderr: Double

  public init(_ scored: [ScoredChoices]) {
    func share(_ predicted: (ScoredChoices) -> Int) -> SampleMean {
      SampleMean(scored.map { predicted($0) == $0.record.answer ? 1 : 0 })
    }
    let (sums, characters, bytes) = (share(\.predicted), share(\.predictedByLength), share(\.predictedByBytes))
    records = scored.count
    (acc, accStderr) = (sums.mean, sums.standardError)
    (accNorm, accNormStderr) = (characters.mean, characters.standardError)
    (accBytes, accBytesStderr) = (bytes.mean, bytes.standardError)
  }
}

extension LoglikelihoodScorer {
  /// Records worked on together: some batches.
  private static let recordsAtOnce = 64

  /// Scores every choice of every record, each context once.
  ///
  /// - Parameter onRecord: every record, in the order given.
  /// - Throws: `RecordFault` for a record without room or tokens; `CancellationError`; what `onRecord` throws.
  public func choices(
    _ records: [ChoiceRecord], isCancelled: () -> Bool = { Task.isCancelled }, onRecord: (ScoredChoices) throws -> Void
  ) throws {
    for first in stride(from: 0, to: records.count, by: Self.recordsAtOnce) {
      let some = first..<min(first + Self.recordsAtOnce, records.count)
      let owners = some.flatMap { index in records[index].choices.map { _ in index } }
      let pairs = some.flatMap { index in records[index].choices.map { (records[index].context, $0) } }
      var scores: ArraySlice<Loglikelihood>
      do {
        scores = try loglikelihoods(pairs, isCancelled: isCancelled)[...]
      } catch let fault as RecordFault {
        throw RecordFault(index: owners[fault.index], reason: fault.reason)
      }
      for index in some {
        let count = records[index].choices.count
        try onRecord(ScoredChoices(record: records[index], scores: Array(scores.prefix(count))))
        scores = scores.dropFirst(count)
      }
    }
  }
}
