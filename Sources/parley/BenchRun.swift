/// What `parley bench` measures. Knows workloads and clocks; prints nothing.

import Adapters
import ArgumentParser
import Foundation
import Generation
import Llama
import Scoring
import Tensors

enum Workload: String, CaseIterable, ExpressibleByArgument {
  /// 512 tokens of prompt.
  case pp512
  /// 128 tokens, one after another, from an empty cache.
  case tg128
  /// 8 and 32 answers of 64 tokens that share a prompt of 128.
  case batch8 = "batch-8"
  case batch32 = "batch-32"
  /// 8 sequences of 128 tokens, half of each scored.
  case score
  /// Forward, backward of one pair of 128 tokens each, rank 16 on all layers.
  case train
}

struct Measurement: Encodable {
  let name: String
  let precision: String
  let tokensPerSecond: Double
  /// (slowest − fastest) / median.
  let spread: Double
  /// Bytes of weights read a second: a decode step reads all of them once. Nil where other things bound the rate.
  let weightGBs: Double?
  /// The most this process has held in memory so far, pages of the mapped file included.
  let peakResidentMiB: Double

  enum CodingKeys: String, CodingKey {
    case name, precision, spread
    case tokensPerSecond = "tokens_per_second"
    case weightGBs = "weight_gbs"
    case peakResidentMiB = "peak_resident_mib"
  }

  var text: String {
    let label = name.padding(toLength: 10, withPad: " ", startingAt: 0)
    let rate = String(format: "%9.1f tokens/s  ± %4.1f %%", tokensPerSecond, 50 * spread)
    let reading = weightGBs.map { String(format: "  %6.1f GB/s of weights", $0) } ?? ""
    return label + rate + reading + String(format: "  %.0f MiB", peakResidentMiB)
  }
}

struct BenchRun {
  private let model: LlamaModel
  private let repetitions: Int
  /// What a decode step reads: every tensor, but of an embedding that is not also the output only a row.
  private let weightBytes: Int

  init(_ session: Session, repetitions: Int) {
    model = session.model
    let all = session.file.tensors.reduce(0) { $0 + $1.byteCount }
    weightBytes = model.isTied ? all : all - model.tokenEmbd.bytes.count
    self.repetitions = repetitions
  }

  func measure(_ workload: Workload) throws -> Measurement {
    switch workload {
    case .pp512: try prefill(512)
    case .tg128: try decode(workload, sequences: 1, prompt: 1, tokens: 128)
    case .batch8: try decode(workload, sequences: 8, prompt: 128, tokens: 64)
    case .batch32: try decode(workload, sequences: 32, prompt: 128, tokens: 64)
    case .score: try score(sequences: 8, length: 128)
    case .train: try train(length: 128)
    }
  }

  private func prefill(_ count: Int) throws -> Measurement {
    let policy = try Policy(model)
    let pass = ForwardPass(model, maximumRows: count)
    let tokens = randomTokens(count)
    return try time(.pp512, tokens: count) {
      _ = try pass([Run(KVSequence(policy), tokens, wanted: false)])
    }
  }

  /// The prompt is computed before the clock starts.
  private func decode(_ workload: Workload, sequences: Int, prompt: Int, tokens: Int) throws -> Measurement {
    let policy = try Policy(model)
    let ids = randomTokens(prompt)
    let past = KVSequence(policy)
    _ = try ForwardPass(model)([Run(past, ids.dropLast(), wanted: false)])
    let options = GenerationOptions(
      sampler: SamplerConfig(), seed: 1, maximumTokens: tokens, endTokens: [], maximumSequences: sequences)
    let generator = try Generator(policy, options)
    let request = GenerationRequest(prompt: ids, index: 0, samples: sequences, past: past)
    return try time(workload, tokens: sequences * tokens, steps: tokens) {
      try generator.run([request], onFinish: { _, _ in })
    }
  }

  private func score(sequences: Int, length: Int) throws -> Measurement {
    let scorer = Scorer(try Policy(model))
    let requests = (0..<sequences).map { index in
      let ids = randomTokens(length, stream: UInt64(index))
      return ScoreRequest(prompt: Array(ids[..<(length / 2)]), responses: [Array(ids[(length / 2)...])])
    }
    return try time(.score, tokens: sequences * length) { _ = try scorer.logProbs(requests) }
  }

  private func train(length: Int) throws -> Measurement {
    let adapter = LoRAAdapter.fresh(architecture: "llama", rank: 16, alpha: 32, seed: 1, shapes: model.adaptable)
    let blocks = model.config.blockCount
    let pass = TrainingPass(try Policy(model, adapter: adapter), maximumRows: 2 * length, kept: blocks)
    let pair = (0..<2).map { index in
      let ids = randomTokens(length, stream: UInt64(index))
      return ScoredSequence(prompt: Array(ids[..<(length / 2)]), answer: Array(ids[(length / 2)...]))
    }
    let weights = pair.map { sequence in sequence.answer.map { _ in Float(1) } }
    return try time(.train, tokens: 2 * length) {
      _ = try pass.forward(pair)
      pass.backward(weights: weights)
    }
  }

  // MARK: The clock

  /// Runs `body` once unmeasured, then `repetitions` times.
  ///
  /// - Parameter steps: passes over all weights in one run, when reading them is what bounds it.
  private func time(_ workload: Workload, tokens: Int, steps: Int? = nil, _ body: () throws -> Void) throws
    -> Measurement
  {
    try body()
    var seconds: [Double] = []
    for _ in 0..<repetitions {
      if Interrupt.isReceived { throw CancellationError() }
      let start = ContinuousClock.now
      try body()
      seconds.append((ContinuousClock.now - start) / .seconds(1))
    }
    seconds.sort()
    let median = seconds[seconds.count / 2]
    return Measurement(
      name: workload.rawValue, precision: model.precision.rawValue, tokensPerSecond: Double(tokens) / median,
      spread: (seconds[seconds.count - 1] - seconds[0]) / median,
      weightGBs: steps.map { Double($0) * Double(weightBytes) / median / 1e9 },
      peakResidentMiB: peakResidentMiB)
  }

  private func randomTokens(_ count: Int, stream: UInt64 = 0) -> [TokenID] {
    let random = CounterRandom(seed: 1, stream)
    return (0..<count).map { TokenID(random.bits(UInt64($0)) % UInt64(model.vocabularySize)) }
  }

  private var peakResidentMiB: Double {
    var usage = rusage()
    #if canImport(Darwin)
      let unit = 1024.0 * 1024  // bytes
      getrusage(RUSAGE_SELF, &usage)
    #else
      let unit = 1024.0  // KiB
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #endif
    return Double(usage.ru_maxrss) / unit
  }
}
