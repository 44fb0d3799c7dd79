import Foundation
import GGUF
import Llama
import Scoring
import Tensors
import Testing

/// 32 answers of SmolLM2 against float64 arithmetic on the same stored weights. The fixture is made by
/// `tools/make_response_fixture.py`; its log-probs share no code with this package.
struct RealResponseTests {
  private struct Fixture: Decodable {
    struct Answer: Decodable {
      let tokenIDs: [TokenID]
      let logps: [Double]

      enum CodingKeys: String, CodingKey {
        case logps
        case tokenIDs = "token_ids"
      }
    }
    struct Record: Decodable {
      let promptIDs: [TokenID]
      let responses: [Answer]

      enum CodingKeys: String, CodingKey {
        case responses
        case promptIDs = "prompt_ids"
      }
    }
    let model: String
    let records: [Record]
  }

  /// The promises: in `f32` a sum within 1e-2 nats, in `int16` a token within 4e-4 in the mean and 5e-3 at most, so the sum of n
  /// tokens within n times 4e-4 (1e-2 would be missed by one of the 32, by 3.5 %: LOG.md). Four answers share their prompt.
  @Test(arguments: [Precision.f32, .int16]) func sumsAndTokensAreThoseOfFloat64(precision: Precision) throws {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let fixture = try JSONDecoder().decode(
      Fixture.self, from: Data(contentsOf: root.appending(path: "Tests/Fixtures/responses-smollm2.json")))
    let path = root.appending(path: "weights/\(fixture.model)").path
    try #require(FileManager.default.fileExists(atPath: path), "\(path) is missing: run `make weights`.")
    let model = try LlamaModel(GGUFFile.open(path), precision: precision, kernels: #require(Kernels(threads: 2)))
    let got = try Scorer(Policy(model)).logProbs(
      fixture.records.map { ScoreRequest(prompt: $0.promptIDs, responses: $0.responses.map(\.tokenIDs)) })
    var distances: [Double] = []
    var answers = 0
    for (record, scores) in zip(fixture.records, got) {
      for (want, logps) in zip(record.responses, scores) {
        try #require(logps.count == want.logps.count && !logps.isEmpty)
        let bound = precision == .f32 ? 1e-2 : 4e-4 * Double(logps.count)
        #expect(abs(logps.logProbSum - want.logps.reduce(0, +)) <= bound)
        distances += zip(logps, want.logps).map { abs(Double($0) - $1) }
        answers += 1
      }
    }
    #expect(answers == 32)
    #expect(distances.reduce(0, +) / Double(distances.count) <= 4e-4)
    #expect(try #require(distances.max()) <= 5e-3)
  }
}
