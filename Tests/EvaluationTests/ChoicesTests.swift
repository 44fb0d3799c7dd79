import Evaluation
import Foundation
import GGUF
import Llama
import Scoring
import Tensors
import TestSupport
import Testing
import Tokenization

/// The harness's questions, its rules written out a second time.
struct ChoicesTests {
  private let model: LlamaModel
  private let tokenizer: Tokenizer
  private let scorer: LoglikelihoodScorer

  init() throws {
    let path = try temporaryFolder() + "/tiny.gguf"
    var tiny = TinyModel()
    tiny.deviation = 0.3
    tiny.tokens += ["ab"]
    tiny.merges = ["a b"]
    try tiny.write(to: path)
    let file = try GGUFFile.open(path)
    model = try LlamaModel(file, precision: .int16, kernels: #require(Kernels(threads: 1)))
    tokenizer = try Tokenizer(file.metadata)
    scorer = LoglikelihoodScorer(try Policy(model), tokenizer: tokenizer)
  }

  private func ids(_ text: String) -> [TokenID] { tokenizer.encode(text, parseSpecial: true) }

  private func logps(_ context: [TokenID], _ continuation: [TokenID]) throws -> Double {
    try Scorer(Policy(model)).logProbs([ScoreRequest(prompt: context, responses: [continuation])])[0][0].logProbSum
  }

  @Test func spaceBelongsToTheContinuation() throws {
    let found = try scorer.loglikelihoods([("So it is \t ", "yes"), ("So it is", " \t yes")])
    #expect(found[0].logp == found[1].logp)
    #expect(try found[0].logp == logps(ids("So it is"), ids(" \t yes")))
    #expect(found[0].tokens == 6 && !found[0].spansCut)
  }

  @Test func withoutContextItStandsBehindTheFirstToken() throws {
    let bos = try #require(tokenizer.bos)
    #expect(try scorer.loglikelihoods([("", "yes")])[0].logp == logps([bos], ids("yes")))
    #expect(try scorer.loglikelihoods([("  ", "yes")])[0].logp == logps([bos], ids("  yes")))
  }

  /// "a" then "b" is one token together, so the cut leaves nothing; "bc" leaves the c.
  @Test func aTokenThatSpansTheCutIsReported() throws {
    let found = try scorer.loglikelihoods([("xa", "b"), ("xa", "bc"), ("xa", "c")])
    #expect(found.map(\.spansCut) == [true, true, false])
    #expect(try found[0].logp == logps(ids("xa"), ids("b")))
    #expect(try found[1].logp == logps(ids("xa"), ids("c")))
    #expect(throws: RecordFault.self) { try scorer.loglikelihoods([("x", "yes"), ("x", "")]) }
  }

  @Test func greedyIsTheMostProbableTokenInEveryPlace() throws {
    var text = "Once"
    var continuation: [TokenID] = []
    for _ in 0..<3 {
      let every = ScoreRequest(prompt: ids(text) + continuation, responses: (0..<260).map { [TokenID($0)] })
      let all = try Scorer(Policy(model)).logProbs([every])[0].map { $0[0] }
      let best = try #require(all.indices.max { all[$0] < all[$1] })
      continuation.append(TokenID(best))
    }
    // Only if it comes back from text as the same ids it is a question the harness could ask.
    let asked = tokenizer.decode(continuation, skipSpecial: false)
    if ids(text + asked) == ids(text) + continuation {
      #expect(try scorer.loglikelihoods([(text, asked)])[0].isGreedy)
    }
    text = "Twice"
    let all = try scorer.loglikelihoods((0..<26).map { (text, String(UnicodeScalar(UInt8(97 + $0)))) })
    let every = ScoreRequest(prompt: ids(text), responses: (0..<260).map { [TokenID($0)] })
    let logps = try Scorer(Policy(model)).logProbs([every])[0].map { $0[0] }
    let best = TokenID(try #require(logps.indices.max { logps[$0] < logps[$1] }))
    #expect(all.enumerated().allSatisfy { $1.isGreedy == (ids(String(UnicodeScalar(UInt8(97 + $0)))) == [best]) })
  }

  @Test func aLongContextLosesItsBeginning() throws {
    let long = String(repeating: "x", count: 300)
    let found = try scorer.loglikelihoods([(long, "yes")])[0]
    #expect(found.isTruncated)
    #expect(try found.logp == logps(Array(ids(long).suffix(256 + 1 - 3)), ids("yes")))
    #expect(throws: RecordFault.self) { try scorer.loglikelihoods([("x", long)]) }
  }

  /// The harness's windows: first as many tokens as there are positions, then as many again, the last with more before it.
  @Test(arguments: [1, 255, 256, 257, 512, 600])
  func rollingCountsEveryTokenOnce(count: Int) throws {
    let bytes = (0..<count).map { (index: Int) -> UInt8 in UInt8(33 + (7 * index + index / 5) % 64) }
    let text = String(decoding: bytes, as: UTF8.self)
    let all = ids(text)
    #expect(all.count == count, "capitals and signs are a token each")
    let bos = try #require(tokenizer.bos)
    var want = try logps([bos], Array(all.prefix(256)))
    for done in stride(from: 256, to: count, by: 256) {
      let fresh: Int = min(256, count - done)
      let window = all[(done + fresh - 257)..<(done + fresh)]
      want += try logps(Array(window.prefix(257 - fresh)), Array(window.suffix(fresh)))
    }
    #expect(try scorer.rolling([text, "yes"]) == [want, logps([bos], ids("yes"))])
    #expect(try scorer.rolling([""]) == [0])
  }

  @Test func accuraciesCountWhatTheSumsSay() throws {
    let lines = (0..<9).map { index in
      #"{"context":"Question \#(index):","choices":[" é","no way at all"," maybe"],"answer":\#(index % 3),"id":\#(index)}"#
    }
    let records = try JSONLines.parse(ChoiceRecord.self, Data(lines.joined(separator: "\n").utf8), file: "test")
    var scored: [ScoredChoices] = []
    try scorer.choices(records) { scored.append($0) }
    #expect(scored.map(\.record.answer) == [0, 1, 2, 0, 1, 2, 0, 1, 2])
    for one in scored {
      let apart = try one.record.choices.map { try scorer.loglikelihoods([(one.record.context, $0)])[0] }
      #expect(one.scores == apart, "choices that share a context have the bits they have alone")
    }
    func accuracy(_ lengths: [Double]) -> Double {
      let right = scored.count { one in
        let values = zip(one.scores, lengths).map { $0.logp / $1 }
        return values.indices.max { values[$0] < values[$1] } == one.record.answer
      }
      return Double(right) / 9
    }
    let found = ChoiceAccuracy(scored)
    #expect(found.records == 9 && found.acc == accuracy([1, 1, 1]))
    #expect(found.accNorm == accuracy([2, 13, 6]) && found.accBytes == accuracy([3, 13, 6]))
    // Of a share a among n: √(a (1 − a) / (n − 1)).
    expectClose(found.accStderr, (found.acc * (1 - found.acc) / 8).squareRoot(), relative: 1e-12)
    let written = try JSONDecoder().decode([String: JSONValue].self, from: JSONLines.line(scored[0]))
    #expect(
      Set(written.keys) == [
        "context", "choices", "answer", "id", "predicted", "predicted_norm", "choice_logps", "choice_is_greedy",
        "choice_tokens",
      ])
  }

  @Test(arguments: [#"{"context":"a","choices":["b"],"answer":1}"#, #"{"context":"a","choices":[],"answer":0}"#])
  func anAnswerThatIsNoChoiceIsRefused(line: String) {
    #expect(throws: RecordError.self) { try JSONLines.parse(ChoiceRecord.self, Data(line.utf8), file: "test") }
  }
}
