import Foundation
import Oracles
import Testing
import Tokenization

private let prompt = PromptRecord(prompt: .text("Explain tides."))
private let words = "the moon pulls the sea and the turning earth lets high water pass every coast twice each day"
  .split(
    separator: " ")

private func answer(_ count: Int, _ finish: Finish = .stop) -> Candidate {
  // Numbers keep the 4-grams apart.
  Candidate(
    text: (0..<count).map { "\(words[$0 % words.count])\($0 / words.count)" }.joined(separator: " "), finish: finish)
}

private func repeated(_ count: Int, _ finish: Finish = .stop) -> Candidate {
  Candidate(text: Array(repeating: "Tides.", count: count).joined(separator: " "), finish: finish)
}

private let rule = ConciseOracle()

private let all: [Candidate] = [
  answer(5), answer(16), answer(30), answer(60), answer(60, .length), answer(3000, .length), repeated(40),
  repeated(4000, .length), Candidate(text: "Yes"), Candidate(text: "Yes.", finish: .length),
  Candidate(text: "Two words"),
  Candidate(text: ""), Candidate(text: " \n", finish: .length), Candidate(text: "… — !!"),
]

@Test func bothOrdersAddUpToOne() {
  for a in all {
    for b in all {
      let (p, q) = (
        rule.probability(that: a, beats: b, for: prompt), rule.probability(that: b, beats: a, for: prompt)
      )
      #expect(p == 1 - q && q == 1 - p)
      #expect((0...1).contains(p))
    }
    #expect(rule.probability(that: a, beats: a, for: prompt) == 0.5)
  }
}

@Test func emptyAnswersLose() {
  let empty = all.suffix(3)
  for a in empty {
    for b in all.dropLast(3) { #expect(rule.probability(that: a, beats: b, for: prompt) < 0.01) }
    for b in empty { #expect(rule.probability(that: a, beats: b, for: prompt) == 0.5) }
  }
}

@Test func whatTheRuleLikes() {
  func score(_ candidate: Candidate) -> Double { rule.score(candidate) }
  // 3·ended − 1.5·ln(words/32) − missing words / 2, repeats 6·share.
  #expect(score(answer(32)) == 3)
  #expect(score(answer(16)) == 3)
  #expect(score(answer(5)) == 3 - 5.5)
  #expect(abs(score(answer(64)) - (3 - 1.5 * log(2))) < 1e-15)
  #expect(abs(score(answer(64, .length)) - -1.5 * log(2)) < 1e-15)
  #expect(score(Candidate(text: "Two words")) == 3 - 7)
  // 40 equal words: 37 4-grams, one of them distinct.
  #expect(abs(score(repeated(40)) - (3 - 6 * 36.0 / 37 - 1.5 * log(1.25))) < 1e-14)
  // Case and lone punctuation do not hide a repeat, and are not words.
  #expect(score(Candidate(text: "a b c d - A B C D")) == score(Candidate(text: "a b c d a b c d")))
  let halved = rule.probability(that: answer(40), beats: answer(80), for: prompt)
  // Odds of 2^1.5.
  #expect(abs(halved - 1 / (1 + pow(2, -1.5))) < 1e-14)
}

@Test func specs() throws {
  #expect(try Oracle.parse("rule:concise").name == "rule:concise")
  for spec in ["concise", "", "verdict:x"] {
    #expect(throws: OracleError.unknown(spec: spec)) { try Oracle.parse(spec) }
  }
  #expect("\(OracleError.unknown(spec: "x"))".contains("rule:TERMS, file:PATH, matrix:PATH"))
  #expect(throws: OracleError.notOffered(kind: "http")) { try Oracle.parse("http://x") }
  #expect(throws: OracleError.needsPath(spec: "file:")) { try Oracle.parse("file:") }
}

private func file(_ name: String, _ text: String) throws -> String {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  let path = folder.appendingPathComponent(name).path
  try text.write(toFile: path, atomically: true, encoding: .utf8)
  return path
}

@Test func recordedJudgements() async throws {
  let path = try file(
    "judged.jsonl",
    """
    {"prompt": "p", "chosen": "a", "rejected": "b", "probability": 0.75}
    {"prompt": "p", "chosen": "b", "rejected": "a", "probability": 0.75}
    {"prompt": "p", "chosen": "a", "rejected": "c"}
    {"prompt": [{"role": "user", "content": "p"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": "b", "probability": 0.125}
    """)
  let oracle = try Oracle.parse("file:\(path)")
  let text = PromptRecord(prompt: .text("p"))
  let (a, b, c) = (Candidate(text: "a"), Candidate(text: "b"), Candidate(text: "c"))
  // Both orders were recorded and disagree: their mean.
  #expect(try await oracle.probability(that: a, beats: b, for: text) == 0.5)
  #expect(try await oracle.probability(that: a, beats: c, for: text) == 1)
  #expect(try await oracle.probability(that: c, beats: a, for: text) == 0)
  #expect(try await oracle.probability(that: c, beats: c, for: text) == 0.5)
  let turns = PromptRecord(prompt: .messages([.init(role: "user", content: "p")]))
  #expect(try await oracle.probability(that: b, beats: a, for: turns) == 0.875)
  await #expect(throws: OracleError.notRecorded(path: path, prompt: "p", a: "b", b: "c")) {
    try await oracle.probability(that: b, beats: c, for: text)
  }
}

@Test func tables() async throws {
  let rows = "0.5,0.8,0.3\n0.2,0.5,0.9\n0.7,0.1,0.5\n"
  for (name, text, answers) in [
    ("t.csv", rows, ["0", "1", "2"]),
    ("t.csv", ",red,green,blue\nred,0.5,0.8,0.3\ngreen,0.2,0.5,0.9\nblue,0.7,0.1,0.5\n", ["red", "green", "blue"]),
    (
      "t.json", #"{"matrix": [[0.5,0.8,0.3],[0.2,0.5,0.9],[0.7,0.1,0.5]], "answers": ["x","y, z","w"]}"#,
      ["x", "y, z", "w"]
    ),
    (
      "t.json", #"{"matrix": [[0.5,0.8,0.3],[0.2,0.5,0.9],[0.7,0.1,0.5]], "reference": [0.5,0.3,0.2]}"#,
      ["0", "1", "2"]
    ),
  ] {
    let oracle = try Oracle.parse("matrix:" + file(name, text))
    func p(_ i: Int, _ j: Int) async throws -> Double {
      try await oracle.probability(
        that: Candidate(text: answers[i]), beats: Candidate(text: " \(answers[j])\n"), for: prompt)
    }
    #expect(try await p(0, 1) == 0.8)
    #expect(try await p(2, 1) == 0.1)
    #expect(try await p(2, 2) == 0.5)
    await #expect(throws: OracleError.self) {
      try await oracle.probability(that: Candidate(text: "?"), beats: Candidate(text: answers[0]), for: prompt)
    }
  }
}

@Test(arguments: [
  "0.5,0.8\n0.3,0.5\n", "0.5,0.5\n", "0.5,x\n0.3,0.5\n", ",a,b\na,0.5,0.5\nc,0.5,0.5\n", ",a,a\na,0.5,0.5\na,0.5,0.5\n",
  #"{"answers": []}"#, "", "0.6\n", "0.5,1.2\n-0.2,0.5\n",
])
func badTables(text: String) throws {
  let path = try file("bad", text)
  #expect { try MatrixOracle(path: path) } throws: { error in
    guard case OracleError.badTable(path, _) = error else { return false }
    return true
  }
}
