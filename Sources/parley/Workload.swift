/// The names of what `parley bench` measures, and their sizes.

import ArgumentParser

enum Workload: String, CaseIterable, ExpressibleByArgument {
  /// A prompt of 512 or 2048 tokens, and the logits behind its last.
  case pp512, pp2048
  /// 128 tokens, one after another, from an empty cache.
  case tg128
  /// 1 to 64 answers of 64 tokens that share a prompt of 128, which is computed before the clock starts.
  case batch1 = "batch-1"
  case batch4 = "batch-4"
  case batch8 = "batch-8"
  case batch16 = "batch-16"
  case batch32 = "batch-32"
  case batch64 = "batch-64"
  /// 64 sequences, a prompt of 128 tokens and an answer of 128 that is scored.
  case score
  /// One LoRA step: 4 pairs, a prompt of 128 tokens and two answers of 128; rank 16 on all layers; forward, backward, AdamW.
  /// The prompt is run once for both answers, and counted with each: 2048 tokens.
  case train
  /// The same with prompts of 768 tokens: 7168 tokens.
  case trainLong = "train-long"
  /// 8 answers of 128 tokens to each of 64 prompts of 64 to 256 tokens; prompts are run on the clock, new tokens are counted.
  case rollouts
  /// 256 pairs, each a prompt of 200 tokens and two answers of 150: 500 tokens, the prompt's counted once.
  case scorePairs = "score-pairs"
  /// The same under the base and an adapter of rank 16 on all layers, in one pass: twice as many tokens.
  case scorePolicies = "score-policies"

  enum Shape {
    case prefill(Int)
    case decode(sequences: Int, prompt: Int, tokens: Int)
    case score(sequences: Int, prompt: Int, answer: Int)
    case train(pairs: Int, prompt: Int, answer: Int)
    case rollouts(prompts: [Int], samples: Int, tokens: Int)
    case scorePairs(pairs: Int, prompt: Int, answer: Int, policies: Int)
  }

  var shape: Shape {
    switch self {
    case .pp512: .prefill(512)
    case .pp2048: .prefill(2048)
    case .tg128: .decode(sequences: 1, prompt: 1, tokens: 128)
    case .batch1: .decode(sequences: 1, prompt: 128, tokens: 64)
    case .batch4: .decode(sequences: 4, prompt: 128, tokens: 64)
    case .batch8: .decode(sequences: 8, prompt: 128, tokens: 64)
    case .batch16: .decode(sequences: 16, prompt: 128, tokens: 64)
    case .batch32: .decode(sequences: 32, prompt: 128, tokens: 64)
    case .batch64: .decode(sequences: 64, prompt: 128, tokens: 64)
    case .score: .score(sequences: 64, prompt: 128, answer: 128)
    case .train: .train(pairs: 4, prompt: 128, answer: 128)
    case .trainLong: .train(pairs: 4, prompt: 768, answer: 128)
    // Lengths spread evenly, out of order.
    case .rollouts: .rollouts(prompts: (0..<64).map { 64 + $0 * 37 % 64 * 192 / 63 }, samples: 8, tokens: 128)
    case .scorePairs: .scorePairs(pairs: 256, prompt: 200, answer: 150, policies: 1)
    case .scorePolicies: .scorePairs(pairs: 256, prompt: 200, answer: 150, policies: 2)
    }
  }

  /// The longest sequence.
  var positions: Int {
    switch shape {
    case .prefill(let tokens): tokens
    case .decode(_, let prompt, let tokens): prompt + tokens - 1
    case .score(_, let prompt, let answer), .train(_, let prompt, let answer): prompt + answer - 1
    case .rollouts(let prompts, _, let tokens): (prompts.max() ?? 0) + tokens - 1
    case .scorePairs(_, let prompt, let answer, _): prompt + answer - 1
    }
  }

  /// Work of minutes: measured once, without a warm-up, and only when it is asked for by name.
  var isLong: Bool {
    switch self {
    case .rollouts, .scorePairs, .scorePolicies: true
    default: false
    }
  }

  /// Plainer work of the same kind: what of the fastest one's rate is left tells what scheduling, or an adapter, costs.
  var baselines: [Workload] {
    switch self {
    case .rollouts: [.batch8, .batch16, .batch32, .batch64]
    case .scorePairs: [.pp512]
    case .scorePolicies: [.scorePairs]
    default: []
    }
  }
}
