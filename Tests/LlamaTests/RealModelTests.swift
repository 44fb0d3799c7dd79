/// SmolLM2 against float64 arithmetic on the same stored weights. The fixture is made by `tools/make_logprob_fixture.py`,
/// which shares no code with this package.

import Foundation
import GGUF
import Llama
import Tensors
import TestSupport
import Testing

@Suite struct RealModelTests {
  private struct Fixture: Decodable {
    struct Position: Decodable {
      let position: Int
      let logsumexp: Double
      let ids: [Int]
      let logits: [Double]
    }
    let model: String
    let ids: [TokenID]
    let logps: [Double]
    let positions: [Position]
  }

  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// One model in the formats that most files have: Q4_1, Q8_0, and the mix of Q4_K, Q6_K, Q5_0 and Q8_0 called Q4_K_M.
  private static let fixtures = ["logprobs-smollm2", "logprobs-smollm2-q8_0", "logprobs-smollm2-q4_k_m"]

  private func fixture(_ name: String = fixtures[0]) throws -> Fixture {
    let data = try Data(contentsOf: Self.root.appending(path: "Tests/Fixtures/\(name).json"))
    return try JSONDecoder().decode(Fixture.self, from: data)
  }

  private func load(_ fixture: Fixture, _ precision: Precision, kv: KVFormat = .f32) throws -> LlamaModel {
    let path = Self.root.appending(path: "weights/\(fixture.model)").path
    try #require(
      FileManager.default.fileExists(atPath: path), "\(path) is missing: run `make weights` or `make weights-large`.")
    return try GGUFFile.open(path).load(precision, kv: kv)
  }

  /// int16: the project's promise. int8: its steps are 258 times as large; a simulation of both in float64 gave means of
  /// 2.6e-4 and 5.8e-2, largest values of 2e-3 and 0.31; half as much again is allowed, in the mean 0.087, which llama.cpp's
  /// formats reach at worst. f32: a product of K terms is off by √(K/6) · 2⁻²⁴ of its size, 1e-6 at K = 1536; 30
  /// blocks of 11 stages make that √333 times as much, 1.8e-5, of logits that spread by about 3: a deviation of 5e-5.
  /// Its mean is four fifths of it, and the worst of 270 stays within four times.
  @Test(arguments: fixtures, [(Precision.int16, 4e-4, 5e-3), (.int8, 0.087, 0.47), (.f32, 4e-5, 2e-4)])
  func logProbs(name: String, bound: (precision: Precision, mean: Double, most: Double)) throws {
    let (precision, mean, most) = bound
    let fixture = try fixture(name)
    let got = try Policy(load(fixture, precision)).logProbs(fixture.ids)
    let distances = zip(got, fixture.logps).map { abs(Double($0) - $1) }
    #expect(distances.count == 270 && distances.allSatisfy(\.isFinite))
    #expect(distances.reduce(0, +) / Double(distances.count) <= mean)
    #expect(try #require(distances.max()) <= most)
  }

  /// The same promise on a real model of another architecture, ten times the size; `make test-slow` asks for it.
  @Test(
    .enabled(if: ProcessInfo.processInfo.environment["PARLEY_LARGE"] != nil),
    arguments: [(Precision.int16, 4e-4, 5e-3), (.f32, 4e-5, 2e-4)])
  func largeModel(precision: Precision, mean: Double, most: Double) throws {
    let fixture = try fixture("logprobs-qwen2.5-coder")
    let got = try Policy(load(fixture, precision)).logProbs(fixture.ids)
    let distances = zip(got, fixture.logps).map { abs(Double($0) - $1) }
    #expect(distances.count == 127 && distances.allSatisfy(\.isFinite))
    let average = distances.reduce(0, +) / Double(distances.count)
    #expect(average <= mean)
    #expect(try #require(distances.max()) <= most)
  }

  /// What rounding keys and values adds to int16. Per stage int16 is off by 3/32767/√12 = 2.6e-5 of a value (see
  /// `TwinLogProbTests`), a half by 2.0e-4 (±2⁻¹¹ at the bottom of a binade, half that at its top), a byte of a block by
  /// 3/127/√12 = 6.8e-3. Two more stages beside int16's four make √(4 + 2·7.6²)/2 = 5.5 times int16's distances for halves,
  /// √(4 + 2·260²)/2 = 180 times for bytes; those are 2.8e-4 in the mean and 2.4e-3 at most. Of f16 the design promises 6.8e-4
  /// in the mean.
  @Test(arguments: [(KVFormat.f16, 6.8e-4, 1.3e-2), (.q8_0, 5e-2, 0.44)])
  func logProbs(kv: KVFormat, mean: Double, most: Double) throws {
    let fixture = try fixture()
    let got = try Policy(load(fixture, .int16, kv: kv)).logProbs(fixture.ids)
    let distances = zip(got, fixture.logps).map { abs(Double($0) - $1) }
    #expect(distances.count == 270 && distances.allSatisfy(\.isFinite))
    #expect(distances.reduce(0, +) / Double(distances.count) <= mean)
    let largest = try #require(distances.max())
    #expect(largest <= most)
    #expect(try bits(got) != bits(Policy(load(fixture, .int16)).logProbs(fixture.ids)))
  }

  /// A log-probability is a difference, in which errors that all logits share cancel; a logit may be off by twice as much.
  @Test(arguments: fixtures, [(Precision.int16, 1e-2), (.int8, 0.94), (.f32, 4e-4)])
  func logits(name: String, bound: (precision: Precision, most: Double)) throws {
    let (precision, most) = bound
    let fixture = try fixture(name)
    let model = try load(fixture, precision)
    let hidden = try ForwardPass(model)([Run(KVSequence(Policy(model)), fixture.ids, wanted: true)])
    let (logits, logSum) = Head(model).logits(hidden)
    for want in fixture.positions {
      let got = want.ids.map { logits[want.position, $0] }
      expectClose(got, want.logits, absolute: most, "position \(want.position)")
      expectClose(logSum[want.position], want.logsumexp, absolute: most, "logsumexp at \(want.position)")
    }
    #expect(fixture.positions.count == 7)
  }
}
