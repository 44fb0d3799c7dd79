/// `rule:TERMS`, a judge made of arithmetic: a weighted sum of scores that anybody can recompute, and σ of its difference.

import Foundation
import Tokenization

/// P(a ≻ b) = σ(score(a) − score(b)), where the score is Σ weight · term.
public struct RuleOracle: PreferenceOracle {
  public let name: String
  public let terms: [(weight: Double, rule: Rule)]

  /// - Parameter terms: `WEIGHT*RULE` joined by `&`, such as `concise&0.5*keyword:Paris&-2*regex:\bsorry\b`; the weight is 1
  ///   where none is given. A regular expression writes `&` as `\x26`.
  /// - Throws: `OracleError.badSpec`.
  public init(_ terms: String) throws(OracleError) {
    name = "rule:\(terms)"
    var parsed: [(weight: Double, rule: Rule)] = []
    for term in terms.split(separator: "&", omittingEmptySubsequences: false) {
      var text = String(term.trimmingCharacters(in: .whitespaces))
      var weight = 1.0
      if let star = text.firstIndex(of: "*"), let number = Double(text[..<star]) {
        guard number.isFinite else { throw .badSpec(spec: name, reason: "the weight \(text[..<star]) is no number") }
        weight = number
        text = String(text[text.index(after: star)...])
      }
      parsed.append((weight, try Rule(text, spec: name)))
    }
    self.terms = parsed
  }

  public func probability(that a: Candidate, beats b: Candidate, for prompt: PromptRecord) -> Double {
    Preference.between(score(a), score(b))
  }

  public func score(_ answer: Candidate) -> Double {
    terms.reduce(0) { $0 + $1.weight * $1.rule.score(answer) }
  }
}

/// One thing a rule looks at.
public enum Rule: Sendable {
  /// The score of `ConciseOracle`.
  case concise
  /// −ln(1 + words): halving a long answer is worth ln 2.
  case shorter
  /// ln(1 + words): a bias for length, as many judges have it.
  case longer
  /// −|ln(words / wanted)|, no words counting as one.
  case length(Int)
  /// 1 when the answer ended by itself.
  case ended
  /// 1 when the text is there, whatever its case.
  case keyword(String)
  /// 1 when the whole answer is one JSON value.
  case json
  /// 1 when the expression is found anywhere.
  case regex(NSRegularExpression)

  public static let known = [
    "concise", "shorter", "longer", "length:WORDS", "ended", "keyword:TEXT", "json", "regex:EXPRESSION",
  ]

  init(_ text: String, spec: String) throws(OracleError) {
    let colon = text.firstIndex(of: ":")
    let argument = colon.map { String(text[text.index(after: $0)...]) } ?? ""
    switch (String(text[..<(colon ?? text.endIndex)]), argument.isEmpty) {
    case ("concise", true): self = .concise
    case ("shorter", true): self = .shorter
    case ("longer", true): self = .longer
    case ("ended", true): self = .ended
    case ("json", true): self = .json
    case ("keyword", false): self = .keyword(argument)
    case ("length", false):
      guard let words = Int(argument), words > 0 else {
        throw .badSpec(spec: spec, reason: "'\(argument)' is not a number of words from 1")
      }
      self = .length(words)
    case ("regex", false):
      guard let expression = try? NSRegularExpression(pattern: argument) else {
        throw .badSpec(spec: spec, reason: "'\(argument)' is not a regular expression")
      }
      self = .regex(expression)
    default:
      throw .badSpec(
        spec: spec, reason: "'\(text)' is none of \(Self.known.map { "rule:" + $0 }.joined(separator: ", "))")
    }
  }

  func score(_ answer: Candidate) -> Double {
    func words() -> Double { Double(ConciseOracle.words(answer.text).count) }
    switch self {
    case .concise: return ConciseOracle().score(answer)
    case .shorter: return -log(1 + words())
    case .longer: return log(1 + words())
    case .length(let wanted): return -abs(log(max(words(), 1) / Double(wanted)))
    case .ended: return answer.finish == .stop ? 1 : 0
    case .keyword(let text): return answer.text.range(of: text, options: .caseInsensitive) == nil ? 0 : 1
    case .json:
      let isJSON = (try? JSONSerialization.jsonObject(with: Data(answer.text.utf8), options: .fragmentsAllowed)) != nil
      return isJSON ? 1 : 0
    case .regex(let expression):
      let whole = NSRange(answer.text.startIndex..., in: answer.text)
      return expression.firstMatch(in: answer.text, range: whole) == nil ? 0 : 1
    }
  }
}
