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

  enum Shape {
    case prefill(Int)
    case decode(sequences: Int, prompt: Int, tokens: Int)
    case score(sequences: Int, prompt: Int, answer: Int)
    case train(pairs: Int, prompt: Int, answer: Int)
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
    }
  }

  /// The longest sequence.
  var positions: Int {
    switch shape {
    case .prefill(let tokens): tokens
    case .decode(_, let prompt, let tokens): prompt + tokens - 1
    case .score(_, let prompt, let answer), .train(_, let prompt, let answer): prompt + answer - 1
    }
  }
}
