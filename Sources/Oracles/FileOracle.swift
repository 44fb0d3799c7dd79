/// `file:PATH`, judgements recorded earlier: pair records, `probability` being P(chosen ≻ rejected), 1 when absent.

import Tokenization

public struct FileOracle: PreferenceOracle {
  public let name: String
  private let path: String
  private let recorded: [Key: Judgement]

  private struct Key: Hashable {
    let prompt: PromptRecord.Content
    let a: String
    let b: String
  }

  private struct Judgement {
    var sum = 0.0
    var count = 0.0

    mutating func add(_ probability: Double) {
      sum += probability
      count += 1
    }
  }

  /// A pair may be recorded several times and in both orders; its judgements are averaged.
  public init(path: String) throws {
    self.path = path
    name = "file:\(path)"
    var recorded: [Key: Judgement] = [:]
    for pair in try JSONLines.read(PairRecord.self, from: path) {
      let (a, b) = (pair.chosen.lastText, pair.rejected.lastText)
      let probability = pair.probability ?? 1
      recorded[Key(prompt: pair.prompt, a: a, b: b), default: Judgement()].add(probability)
      recorded[Key(prompt: pair.prompt, a: b, b: a), default: Judgement()].add(1 - probability)
    }
    self.recorded = recorded
  }

  /// One half for equal texts; else what was recorded for exactly this prompt and these texts.
  public func probability(
    that a: Candidate, beats b: Candidate, for prompt: PromptRecord
  ) throws(OracleError) -> Double {
    if a.text == b.text { return 0.5 }
    guard let judgement = recorded[Key(prompt: prompt.prompt, a: a.text, b: b.text)] else {
      throw .notRecorded(path: path, prompt: prompt.prompt.lastText, a: a.text, b: b.text)
    }
    return judgement.sum / judgement.count
  }
}
