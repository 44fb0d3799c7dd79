/// Does the work of `parley bench` and times it. Knows workloads and clocks; prints nothing.

import Foundation
import Generation
import Llama
import Scoring
import Tensors

struct BenchRun {
  private let model: LlamaModel
  private let cost: ModelCost
  private let peak: MachinePeak
  private let repetitions: Int

  init(_ session: Session, peak: MachinePeak, repetitions: Int) {
    model = session.model
    cost = ModelCost(session.file, session.model)
    self.peak = peak
    self.repetitions = repetitions
  }

  func measure(_ workload: Workload) throws -> Measurement {
    PeakMemory.reset()
    switch workload.shape {
    case .prefill(let count): return try prefill(workload, count)
    case .decode(let sequences, let prompt, let tokens):
      return try decode(workload, sequences: sequences, prompt: prompt, tokens: tokens)
    case .score(let sequences, let prompt, let answer):
      let scorer = Scorer(try Policy(model))
      let requests = (0..<sequences).map { index in
        let ids = randomTokens(prompt + answer, stream: index)
        return ScoreRequest(prompt: Array(ids[..<prompt]), responses: [Array(ids[prompt...])])
      }
      return try time(workload, tokens: sequences * (prompt + answer)) { _ = try scorer.logProbs(requests) }
    case .rollouts(let prompts, let samples, let tokens):
      return try rollouts(workload, prompts, samples: samples, tokens: tokens)
    case .scorePairs(let pairs, let prompt, let answer, let policies):
      let adapted = try (1..<policies).map { _ in try Policy(model, adapter: LoRAStep.adapter(model)) }
      let scorer = Scorer(try [Policy(model)] + adapted)
      let requests = (0..<pairs).map { index in
        let ids = randomTokens(prompt + 2 * answer, stream: index)
        return ScoreRequest(
          prompt: Array(ids[..<prompt]),
          responses: [Array(ids[prompt..<(prompt + answer)]), Array(ids[(prompt + answer)...])])
      }
      let distinct = requests.reduce(0) { $0 + $1.distinctTokens }
      return try time(workload, tokens: policies * distinct) { _ = try scorer.logProbsPerPolicy(requests) }
    case .train(let pairs, let prompt, let answer):
      let step = try LoRAStep(
        model,
        pairs: (0..<pairs).map { index in
          let ids = randomTokens(prompt + 2 * answer, stream: index)
          return ScoredGroup(
            prompt: Array(ids[..<prompt]),
            answers: [Array(ids[prompt..<(prompt + answer)]), Array(ids[(prompt + answer)...])])
        })
      return try time(workload, tokens: 2 * pairs * (prompt + answer), step.run)
    }
  }

  private func prefill(_ workload: Workload, _ count: Int) throws -> Measurement {
    let policy = try Policy(model)
    let pass = ForwardPass(model)
    let head = Head(model)
    let tokens = randomTokens(count)
    return try time(workload, tokens: count) {
      let sequence = KVSequence(policy)
      _ = head.logits(
        try pass([Run(sequence, tokens.dropLast(), wanted: false), Run(sequence, tokens.suffix(1), wanted: true)]))
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
    return try time(workload, tokens: sequences * tokens) {
      try generator.run([request], onFinish: { _, _ in })
    }
  }

  private func rollouts(_ workload: Workload, _ prompts: [Int], samples: Int, tokens: Int) throws -> Measurement {
    let generator = try Generator(
      Policy(model), GenerationOptions(sampler: SamplerConfig(), seed: 1, maximumTokens: tokens, endTokens: []))
    let requests = prompts.enumerated().map { index, count in
      GenerationRequest(prompt: randomTokens(count, stream: index), index: index, samples: samples)
    }
    return try time(workload, tokens: prompts.count * samples * tokens) {
      try generator.run(requests, onFinish: { _, _ in })
    }
  }

  // MARK: The clock

  /// Runs `body` once unmeasured, then `repetitions` times; long work once.
  private func time(_ workload: Workload, tokens: Int, _ body: () throws -> Void) throws -> Measurement {
    if !workload.isLong { try body() }
    var seconds: [Double] = []
    for _ in 0..<(workload.isLong ? 1 : repetitions) {
      if Interrupt.isReceived { throw CancellationError() }
      seconds.append(try ContinuousClock().measure(body) / .seconds(1))
    }
    seconds.sort()
    let median = seconds[seconds.count / 2]
    let cost = cost.cost(of: workload)
    return Measurement(
      name: workload.rawValue, precision: model.precision.rawValue, tokensPerSecond: Double(tokens) / median,
      spread: (seconds[seconds.count - 1] - seconds[0]) / median,
      flopsShare: cost.arithmetic(peak, model.precision) / median, bandwidthShare: cost.reading(peak) / median,
      peakResidentMib: PeakMemory.mebibytes)
  }

  private func randomTokens(_ count: Int, stream: Int = 0) -> [TokenID] {
    let random = CounterRandom(seed: 1, UInt64(stream))
    return (0..<count).map { TokenID(random.bits(UInt64($0)) % UInt64(model.vocabularySize)) }
  }
}
