/// The pairs of many prompts. Brackets of a group of prompts are played side by side, so that the judge gets as many questions
/// at once as there are.

import Tensors
import Tokenization

/// What became of the prompts, and how the judge decided.
public struct PairCounts: Equatable, Sendable {
  public var prompts = 0
  public var pairs = 0
  /// Dropped: the best and the worst were level.
  public var level = 0
  /// Dropped: the worst beat the best, which an intransitive judge can bring about.
  public var reversed = 0
  /// Dropped: fewer than two answers.
  public var tooFew = 0
  public var comparisons = 0
  /// Comparisons of probability exactly ½.
  public var ties = 0

  public init() {}

  public var summary: String {
    "\(pairs) pairs from \(prompts) prompts by \(comparisons) comparisons, \(ties) of them ties; dropped \(level) with best "
      + "and worst level, \(reversed) whose worst beat their best, \(tooFew) with fewer than two answers."
  }
}

public struct PairMaker: Sendable {
  private let mode: PairMode
  private let perPrompt: Int
  private let oracle: any PreferenceOracle
  private let group: Int

  /// - Parameters:
  ///   - perPrompt: for the independent modes, pairs of a prompt, at most half its answers.
  ///   - group: prompts whose questions are asked together.
  public init(_ mode: PairMode, perPrompt: Int = 1, oracle: any PreferenceOracle, group: Int = 64) {
    self.mode = mode
    self.perPrompt = perPrompt
    self.oracle = oracle
    self.group = max(1, group)
  }

  /// - Parameters:
  ///   - random: the random numbers of a record, by its place: what is drawn for one does not depend on the others.
  ///   - isCancelled: asked between questions; true ends the work with `CancellationError`.
  ///   - onRecord: the pairs of every record, in the order given.
  /// - Throws: what the oracle and `onRecord` throw.
  public func run(
    _ records: [ResponseRecord], random: (Int) -> CounterRandom.Stream, isCancelled: () -> Bool = { Task.isCancelled },
    onRecord: ([PairRecord]) throws -> Void
  ) async throws -> PairCounts {
    var counts = PairCounts()
    for start in stride(from: 0, to: records.count, by: group) {
      let places = start..<min(start + group, records.count)
      var streams = places.map(random)
      var drafts: [PairDraft?] = []
      for place in places {
        let record = records[place]
        drafts.append(
          record.responses.count < 2
            ? nil : try PairDraft(record, mode, pairs: perPrompt, using: &streams[place - start]))
      }
      while true {
        let questions = drafts.flatMap { $0?.questions ?? [] }
        if questions.isEmpty { break }
        if isCancelled() { throw CancellationError() }
        var answers = try await oracle.probabilities(questions)[...]
        counts.comparisons += questions.count
        counts.ties += answers.count { $0 == 0.5 }
        for i in drafts.indices {
          guard var draft = drafts[i], !draft.questions.isEmpty else { continue }
          let own = Array(answers.prefix(draft.questions.count))
          answers = answers.dropFirst(own.count)
          draft.take(own, using: &streams[i])
          drafts[i] = draft
        }
      }
      for draft in drafts {
        counts.prompts += 1
        counts.pairs += draft?.found.count ?? 0
        if draft == nil { counts.tooFew += 1 }
        if let draft, draft.found.isEmpty {
          if let last = draft.last, last < 0.5 { counts.reversed += 1 } else { counts.level += 1 }
        }
        try onRecord(draft?.found ?? [])
      }
    }
    return counts
  }
}
