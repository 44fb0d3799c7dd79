/// One setting: its name, what it means, how its text is read and written. The table of all of them is the run file's
/// grammar and its documentation; command-line flags go through the same readers.

import Adapters
import Oracles
import Tensors
import Training

public struct ConfigField: Sendable {
  /// As in the run file and, with two dashes, on the command line.
  public let name: String
  public let help: String
  /// Completes "must be …".
  let expects: String
  /// False when the text is not such a value.
  let read: @Sendable (inout RunConfig, String) -> Bool
  let show: @Sendable (RunConfig) -> String
  /// The losses that look at it.
  private(set) var losses = RunConfig.LossName.allCases
  /// False when a run may go on with another value and end the same to the bit.
  private(set) var decidesBits = true
  /// Of a list, which may be given several times: empties it. `read` adds one value.
  private(set) var clear: (@Sendable (inout RunConfig) -> Void)?
  public var isList: Bool { clear != nil }

  /// `help` as a sentence, with the value that holds when none is given.
  public var sentence: String {
    help.prefix(1).uppercased() + help.dropFirst() + ". (default: \(show(RunConfig())))"
  }

  /// In the order of the run file. `tau` stands beside them: it sets `ratio`.
  public static let all: [ConfigField] = work + sampling + training

  private static let work: [ConfigField] = [
    text("model", \.model, "the GGUF model"),
    text("prompts", \.prompts, "training prompts, JSON lines"),
    text("reference", \.reference, "π_ref: base, or an adapter file"),
    text("oracle", \.oracle, "who judges: \(Oracle.known.joined(separator: ", "))"),
    number(
      "oracle-timeout", \.oracleTimeout, 0.001...1e6, "seconds a command or server that judges may take for an answer"
    ).changingNoBit,
    integer("oracle-parallel", \.oracleParallel, 1...1024, "requests at once to a server that judges").changingNoBit,
    integer("rounds", \.rounds, 1...1000, "rounds of sample, judge, train"),
    integer("prompts-per-round", \.promptsPerRound, 0...Int.max, "prompts of each round; 0 shares all of them out"),
    flag("raw", \.raw, "take prompts as they are, without the chat template"),
    integer("samples", \.samples, 2...1024, "answers per prompt (K)"),
  ]

  private static let training: [ConfigField] = [
    choice(
      "pairs", \.pairs,
      "tournament (best against worst), win-rate (the same by mean win rate over all comparisons), iid (winner drawn) or soft (probability as label; 0.5 aims at no difference)"
    ),
    integer("pairs-per-prompt", \.pairsPerPrompt, 1...512, "pairs per prompt when they are iid or soft"),
    choice(
      "loss", \.loss,
      "the loss: inpo, ipo, ipo-mean (a token's mean), online-ipo (ipo, for pairs of the policy's own answers), dpo, robust, "
        + "hinge, sppo, simpo or sft (imitates chosen answers)"),
    number("eta", \.eta, Double.leastNonzeroMagnitude...1e9, "INPO's η: 1/eta is the step of its mirror descent").of(
      .inpo),
    number("ratio", \.ratio, 0...1, "INPO's tau/eta: weight of the reference; 0 leaves it out").of(.inpo),
    number(
      "beta", \.beta, Double.leastNonzeroMagnitude...1e9,
      "strength β of the losses on pairs other than inpo; sppo has 0.001, simpo 2.5 when it is not given"
    ).of(.ipo, .ipoMean, .onlineIPO, .dpo, .robust, .hinge, .sppo, .simpo),
    number(
      "label-smoothing", \.labelSmoothing, 0...0.5, "share of wrong verdicts, below 1/2, that dpo and robust allow for"
    )
    .of(.dpo, .robust),
    number("gamma", \.gamma, 0...1e9, "SimPO's γ: gamma/beta is the difference of mean log-probs it aims at").of(
      .simpo),
    number("lr", \.learningRate, 0...10, "peak learning rate"),
    choice("schedule", \.schedule, "course of the rate: constant, cosine or linear"),
    ConfigField(
      name: "warmup", help: "warm-up as a share of the steps (below 1), or their number",
      expects: "a share below 1 or a whole number of steps",
      read: { config, text in
        guard let value = Self.double(text), value >= 0 else { return false }
        if value < 1 {
          config.warmUp = .ratio(value)
        } else {
          guard let steps = Int(text) else { return false }
          config.warmUp = .steps(steps)
        }
        return true
      },
      show: { config in
        switch config.warmUp {
        case .steps(let count): "\(count)"
        case .ratio(let share): "\(share)"
        }
      }),
    integer("epochs", \.epochs, 1...1000, "passes over the pairs of a round"),
    integer("batch", \.batch, 1...1_000_000, "pairs per optimiser step"),
    integer(
      "micro-batch-tokens", \.microBatchTokens, 1...1_000_000,
      "tokens of one pass of training; as many pairs as fit, each prompt counted once, go together"),
    choice("optimizer", \.optimizer, "the optimiser: adamw, adamw-8bit (moments in bytes), sgd (momentum 0.9) or lion"),
    number("weight-decay", \.weightDecay, 0...1, "weight decay, apart from the gradient"),
    number(
      "lora-plus-ratio", \.loraPlusRatio, Double.leastNonzeroMagnitude...1e6,
      "learning rate of B over that of A; above 1 is LoRA+"),
    number("max-grad-norm", \.maxGradNorm, 0...1e9, "longest gradient; 0 never clips"),
    integer("rank", \.rank, 1...4096, "rank of the LoRA adapter"),
    number("alpha", \.alpha, 0...1e6, "scale of the LoRA adapter times its rank; 0 means scale 1"),
    text("targets", \.targets, "layers to adapt: all-linear, attention, mlp, output, token_embd, or names with commas"),
    flag("rslora", \.rslora, "scale by alpha over the root of the rank, so that high ranks learn as fast"),
    pattern("rank-pattern", \.rankPattern, "ranks of some layers, such as attn_q=8,ffn_down=32") {
      (try? LoRAPattern.ranks($0)) != nil
    },
    pattern("alpha-pattern", \.alphaPattern, "alphas of some layers, such as attn_q=16,ffn_down=64") {
      (try? LoRAPattern.alphas($0)) != nil
    },
    number("dropout", \.dropout, 0...0.99, "share of the adapter's inputs that each step leaves out"),
    integer("checkpoint-steps", \.checkpointSteps, 1...Int.max, "steps between checkpoints").changingNoBit,
    number("checkpoint-minutes", \.checkpointMinutes, 0...1e6, "minutes between checkpoints; 0 counts steps only")
      .changingNoBit,
    integer("checkpoint-keep", \.checkpointKeep, 1...1000, "checkpoints that stay, the newest ones").changingNoBit,
    integer(
      "max-skipped-steps", \.maxSkippedSteps, 1...1000,
      "steps in a row with a loss or gradient that is not finite, after which training stops"
    ).changingNoBit,
    text("tensorboard", \.tensorBoard, "folder for TensorBoard's event files; empty writes none").changingNoBit,
    text("eval-pairs", \.evalPairs, "held-out pairs, JSON lines; empty evaluates none").changingNoBit,
    integer("eval-steps", \.evalSteps, 1...Int.max, "steps between evaluations on held-out pairs"),
    choice("best-by", \.bestBy, "what makes an adapter the best on held-out pairs: loss or accuracy"),
    integer(
      "early-stop", \.earlyStop, 0...1000, "evaluations on held-out pairs without gain that end training; 0 never"),
    text("evaluate-prompts", \.evaluatePrompts, "held-out prompts, JSON lines; empty evaluates nothing"),
    integer("evaluate-samples", \.evaluateSamples, 1...1024, "answers per held-out prompt"),
    number("evaluate-temperature", \.evaluateTemperature, 0...100, "temperature of the sampler when evaluating"),
    choice("precision", \.precision, "arithmetic of the products: f32, int16 or int8"),
    choice("kv", \.kv, "how keys and values are kept: f32, f16 or q8_0"),
    choice("backward", \.backward, "arithmetic of gradients that pass frozen weights: int16 or f32"),
    integer("threads", \.threads, 0...4096, "threads; 0 takes the cores this process may use").changingNoBit,
    integer("ctx", \.context, 0...10_000_000, "positions per sequence; 0 takes what is needed"),
    ConfigField(
      name: "memory",
      help:
        "most that sampling, scoring or training may hold beside the model, such as 16GiB; auto is half of what this process may have",
      expects: "a size such as 512MiB or 16GiB, or auto",
      read: { config, text in
        if text == "auto" {
          config.memory = nil
          return true
        }
        guard let bytes = Self.size(text) else { return false }
        config.memory = bytes
        return true
      },
      show: { $0.memory.map(Self.sizeText) ?? "auto" }
    ).changingNoBit,
    ConfigField(
      name: "seed", help: "seed of everything random", expects: "a whole number from 0",
      read: { config, text in
        guard let value = UInt64(text) else { return false }
        config.seed = value
        return true
      },
      show: { "\($0.seed)" }),
  ]

  public static func named(_ name: String) -> ConfigField? { all.first { $0.name == name } }

  private func of(_ losses: RunConfig.LossName...) -> ConfigField {
    var field = self
    field.losses = losses
    return field
  }

  var changingNoBit: ConfigField {
    var field = self
    field.decidesBits = false
    return field
  }

  func list(clear: @escaping @Sendable (inout RunConfig) -> Void) -> ConfigField {
    var field = self
    field.clear = clear
    return field
  }

  // MARK: Readers by type

  typealias Path<Value> = WritableKeyPath<RunConfig, Value> & Sendable

  static func field<Value>(
    _ name: String, _ path: Path<Value>, _ help: String, expects: String,
    show: @escaping @Sendable (Value) -> String, read: @escaping @Sendable (String) -> Value?
  ) -> ConfigField {
    ConfigField(
      name: name, help: help, expects: expects,
      read: { config, text in
        guard let value = read(text) else { return false }
        config[keyPath: path] = value
        return true
      },
      show: { show($0[keyPath: path]) })
  }

  static func text(_ name: String, _ path: Path<String>, _ help: String) -> ConfigField {
    field(name, path, help, expects: "text", show: { $0 }, read: { $0 })
  }

  private static func pattern(
    _ name: String, _ path: Path<String>, _ help: String, isOne: @escaping @Sendable (String) -> Bool
  ) -> ConfigField {
    field(
      name, path, help, expects: "layers with numbers, such as attn_q=8,ffn_down=32", show: { $0 },
      read: { isOne($0) ? $0 : nil })
  }

  static func flag(_ name: String, _ path: Path<Bool>, _ help: String) -> ConfigField {
    field(name, path, help, expects: "true or false", show: { "\($0)" }, read: { Bool($0) })
  }

  static func integer(
    _ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>, _ help: String
  ) -> ConfigField {
    let top = range.upperBound == Int.max ? "" : " to \(range.upperBound)"
    return field(
      name, path, help, expects: "a whole number from \(range.lowerBound)\(top)", show: { "\($0)" },
      read: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } })
  }

  static func number(
    _ name: String, _ path: Path<Double>, _ range: ClosedRange<Double>, _ help: String
  ) -> ConfigField {
    let lowest = range.lowerBound <= 0 ? "from \(range.lowerBound == 0 ? "0" : "\(range.lowerBound)")" : "above 0"
    return field(
      name, path, help, expects: "a number \(lowest) to \(range.upperBound), or a fraction such as 1/3",
      show: { "\($0)" }, read: { text in double(text).flatMap { range.contains($0) ? $0 : nil } })
  }

  private static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
    _ name: String, _ path: Path<Value>, _ help: String
  ) -> ConfigField {
    field(
      name, path, help, expects: "one of " + Value.allCases.map(\.rawValue).joined(separator: ", "),
      show: { $0.rawValue }, read: { Value(rawValue: $0) })
  }

  /// A decimal number or a fraction.
  static func double(_ text: String) -> Double? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let first = Double(parts[0].trimmed) else { return nil }
    guard parts.count == 2 else { return first.isFinite ? first : nil }
    guard let second = Double(parts[1].trimmed), second != 0 else { return nil }
    let quotient = first / second
    return quotient.isFinite ? quotient : nil
  }

  private static let units: [(name: String, bytes: Int)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

  /// Bytes in a text such as `512MiB`, `16GiB` or `1000000`; nil when it is no size above 0.
  public static func size(_ text: String) -> Int? {
    for unit in units where text.hasSuffix(unit.name) {
      guard let value = Double(text.dropLast(unit.name.count).trimmed), value > 0 else { return nil }
      // 2⁵² bytes is far above any machine, and exact in a Double.
      let bytes = value * Double(unit.bytes)
      return bytes < 0x1p52 ? Int(bytes) : nil
    }
    return Int(text).flatMap { $0 > 0 ? $0 : nil }
  }

  private static func sizeText(_ bytes: Int) -> String {
    for unit in units where bytes.isMultiple(of: unit.bytes) { return "\(bytes / unit.bytes)\(unit.name)" }
    return "\(bytes)"
  }
}

extension StringProtocol {
  fileprivate var trimmed: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}
