/// `rule:concise`, a judge made of arithmetic: it likes an answer that ends by itself, does not repeat itself, and is
/// short. For demonstrations and tests: it cannot see whether an answer is right.

import Foundation
import Tokenization

/// P(a ≻ b) = σ(score(a) − score(b)) with
///
///     score = 3·[ended by itself] − 6·(share of repeated 4-grams) − 1.5·ln(words / 32) − (16 − words below sixteen) / 2
///
/// - Words are the pieces between white space that hold a letter or a digit.
/// - The share of repeated 4-grams is 1 − distinct / all, over lower-case words; 0 below four words.
/// - The length counts between 32 and 2048 words: below 32, two sentences or so, nothing is gained by writing less.
/// - Fewer than sixteen words lose half a point for each one missing, and an answer without any word scores −20, below
///   the worst possible answer with words (−12.3). So a policy cannot win by saying next to nothing.
///
/// Halving a long answer thus moves the odds by 2^1.5, about 74 to 26; being cut off costs e³, about 95 to 5.
public struct ConciseOracle: PreferenceOracle {
  public let name = "rule:concise"

  public init() {}

  public func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) -> Double {
    Preference.between(score(a), score(b))
  }

  public func score(_ answer: Candidate) -> Double {
    let words = Self.words(answer.text)
    guard !words.isEmpty else { return -20 }
    let ended = answer.finish == .stop ? 1.0 : 0
    let length = log(Double(min(max(words.count, 32), 2048)) / 32)
    let missing = Double(max(0, 16 - words.count))
    return 3 * ended - 6 * Self.repeatedShare(words) - 1.5 * length - missing / 2
  }

  static func words(_ text: String) -> [Substring] {
    text.split(whereSeparator: \.isWhitespace).filter { $0.contains { $0.isLetter || $0.isNumber } }
  }

  static func repeatedShare(_ words: [Substring]) -> Double {
    guard words.count >= 4 else { return 0 }
    let folded = words.map { $0.lowercased() }
    let all = folded.count - 3
    let distinct = Set((0..<all).map { Array(folded[$0..<($0 + 4)]) }).count
    return 1 - Double(distinct) / Double(all)
  }
}
