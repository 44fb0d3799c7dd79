/// What `train` reads: pairs, or for a loss that looks at one answer, examples. Encoded, then frozen where the loss needs it.

import INPO
import Tensors
import Tokenization
import Training

enum TrainingData {
  case pairs([PairRecord], quiet: Bool)
  case examples([ExampleRecord])

  /// The records of the file with token ids.
  init(_ path: String, for loss: any PairLoss, _ session: Session, quiet: Bool) throws {
    guard loss.needs.contains(.rejected) else {
      self = .examples(try Self.read(path) { try $0.encoded(by: session.encoder, for: session.model) })
      return
    }
    let pairs: [PairRecord] = try Self.read(path) { try $0.encoded(by: session.encoder, for: session.model) }
    let even = pairs.count { $0.isEven }
    if even > 0 && !quiet { note("\(even) pairs of '\(path)' have equal answers: they add a constant to the loss.") }
    self = .pairs(pairs, quiet: quiet)
  }

  private static func read<Record: Decodable>(_ path: String, _ encode: (Record) throws -> Record) throws -> [Record] {
    try RecordFile<Record>(path).naming { records in
      try records.enumerated().map { index, record in
        do {
          return try encode(record)
        } catch {
          throw RecordFault(index: index, reason: error)
        }
      }
    }
  }

  /// As they are.
  func pairs() throws -> [TrainingPair] {
    switch self {
    case .pairs(let records, _): try records.map { try $0.trainingPair() }
    case .examples(let records): try records.map { try $0.trainingPair() }
    }
  }

  /// With the log-probs that the loss needs; what is trained on is written to `path`.
  ///
  /// - Parameter resume: takes the frozen pairs of an earlier start from `path`.
  func frozen(
    for loss: any PairLoss, by policies: (reference: NamedPolicy, last: NamedPolicy), into path: String, resume: Bool,
    memory: Int?
  ) throws -> [TrainingPair] {
    var data = self
    if case .pairs(let records, let quiet) = self, loss.needs.contains(.frozen) {
      data = .pairs(
        try Self.freeze(records, policies.reference, policies.last, path, memory, resume: resume, quiet: quiet),
        quiet: quiet)
    }
    switch data {
    case .pairs(let records, _): try JSONLines.write(records, to: path)
    case .examples(let records): try JSONLines.write(records, to: path)
    }
    return try data.pairs()
  }

  private static func freeze(
    _ encoded: [PairRecord], _ reference: NamedPolicy, _ last: NamedPolicy, _ path: String, _ memory: Int?,
    resume: Bool, quiet: Bool
  ) throws -> [PairRecord] {
    if resume, let stored = FrozenPairs.stored(in: path, for: encoded, reference: reference, last: last) {
      return stored
    }
    let progress = Progress("Scoring", total: encoded.count, quiet: quiet)
    var done = 0
    return try FrozenPairs.freeze(
      encoded, reference: reference, last: last, memory: memory,
      onProgress: {
        progress.advance($0 - done)
        done = $0
      }, isCancelled: { Interrupt.isReceived })
  }
}
