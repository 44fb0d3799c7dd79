import Foundation
import Oracles
import Testing
import Tokenization

private let prompt = PromptRecord(prompt: .text("p"))

private func p(_ spec: String, _ a: String, _ b: String, _ finish: Finish = .stop) async throws -> Double {
  try await Oracle.parse(spec).probability(
    that: Candidate(text: a), beats: Candidate(text: b, finish: finish), for: prompt)
}

/// σ.
private func sigma(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

@Test func everyRuleScoresWhatItSays() async throws {
  // A rounding or two of numbers near 1.
  let close = { (a: Double, b: Double) in abs(a - b) < 4 * 0x1p-52 }
  #expect(close(try await p("rule:shorter", "one", "one two three"), sigma(log(4) - log(2))))
  #expect(close(try await p("rule:longer", "one", "one two three"), sigma(log(2) - log(4))))
  #expect(close(try await p("rule:length:4", "a b c d", "a"), sigma(log(4))))
  #expect(close(try await p("rule:length:4", "a b", "a b c d e f g h"), 0.5))
  #expect(close(try await p("rule:ended", "x", "x", .length), sigma(1)))
  #expect(close(try await p("rule:keyword:paris", "It is PARIS.", "It is Rome."), sigma(1)))
  #expect(close(try await p("rule:json", #" {"a": [1, null]} "#, #"{"a": 1"#), sigma(1)))
  #expect(try await p("rule:json", "3", "\"x\"") == 0.5)
  #expect(close(try await p(#"rule:regex:^\d+$"#, "2026", "in 2026"), sigma(1)))
  let weighted = try await p(#"rule:2*keyword:a:b & -0.5*regex:sorry & ended"#, "a:b sorry", "no", .length)
  #expect(close(weighted, sigma(2 - 0.5 + 1)))
}

@Test func aWeightedConciseRuleIsTheConciseOne() async throws {
  let (a, b) = (
    Candidate(text: "Short and good enough."), Candidate(text: "word word word word word word", finish: .length)
  )
  let plain = ConciseOracle()
  #expect(
    try await Oracle.parse("rule:1*concise").probability(that: a, beats: b, for: prompt)
      == plain.probability(that: a, beats: b, for: prompt))
  let doubled = try #require(try Oracle.parse("rule:2*concise") as? RuleOracle)
  #expect(doubled.score(a) == 2 * plain.score(a))
}

@Test(arguments: [
  "rule:brief", "rule:length", "rule:length:0", "rule:regex:(", "rule:concise&", "rule:keyword:", "rule:json:x",
  "mixture:", "mixture:rule:concise", "mixture:0*rule:concise", "mixture:1*mixture:1*rule:concise",
  "mixture:-1*rule:ended",
])
func badRules(spec: String) {
  #expect {
    try Oracle.parse(spec)
  } throws: { error in
    guard case OracleError.badSpec = error else { return false }
    return "\(error)".hasPrefix("The oracle '\(spec)' cannot be made: ")
  }
}

@Test func aMixtureIsTheWeightedMean() async throws {
  let (a, b) = ("one", "one two three")
  let mixed = try await p("mixture:3*rule:shorter;1*rule:longer", a, b)
  let want = 0.75 * sigma(log(2)) + 0.25 * sigma(-log(2))
  #expect(abs(mixed - want) < 4 * 0x1p-52)
  let turned = try await p("mixture:3*rule:shorter;1*rule:longer", b, a)
  #expect(abs(mixed + turned - 1) < 4 * 0x1p-52)
}

@Test func theFilesOfASpec() throws {
  #expect(try Oracle.files("rule:concise").isEmpty)
  #expect(try Oracle.files("judge:m.gguf?t.txt") == ["m.gguf", "t.txt"])
  #expect(try Oracle.files("mixture:1*file:a.jsonl;2*matrix:b.csv;1*rule:ended") == ["a.jsonl", "b.csv"])
  #expect(try Oracle.files("command:python3 x.py").isEmpty)
}
