/// Options that several commands share, and the values they stand for.

import Adapters
import ArgumentParser
import Generation
import INPO
import Llama
import Tensors
import Tokenization

extension Precision: ExpressibleByArgument {}
extension KVFormat: ExpressibleByArgument {}
extension PreTokenizer: ExpressibleByArgument {
  /// Every name a file may use, not only the first of each rule.
  public init?(argument: String) { self.init(name: argument) }
}

// `check` instead of the parser's `validate`: an unknown option is then reported before what its absence causes. What no
// absence can cause is validated.

/// Counts that make sense; far beyond them, memory or arithmetic would overflow.
enum Allowed {
  /// Positions or tokens of one sequence: more than any model's context.
  static let tokens = 1...(1 << 24)
  /// Answers, pairs or rounds.
  static let repetitions = 1...(1 << 16)
  static let threads = 1...Kernels.maximumThreads
}

extension ClosedRange<Int> {
  /// - Throws: `ValidationError` that names the option.
  func check(_ value: Int, of option: String) throws {
    guard contains(value) else {
      throw ValidationError("\(option) is \(value); give a number from \(lowerBound) to \(upperBound).")
    }
  }
}

/// How the model is run.
struct ModelOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("A LLaMA-family model in GGUF.", valueName: "model"))
  var path: String

  @Option(help: "Arithmetic of the matrix products: activations as int16 or int8 integers, or f32 throughout.")
  var precision: Precision = .int16

  @Option(help: "How keys and values are kept: f32, or rounded, in half the memory (f16) or a good quarter (q8_0).")
  var kv: KVFormat = .f32

  @Option(
    parsing: .unconditional,
    help: "Threads; without it, the physical cores this process may use. No result depends on it.")
  var threads: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Most positions of a sequence; without it, the model's own limit.", valueName: "n"))
  var ctx: Int?

  @OptionGroup var splitting: PreTokenizerOption

  func check() throws {
    if let ctx { try Allowed.tokens.check(ctx, of: "--ctx") }
  }
}

/// For files whose tokenizer names no rule, or one that is not known.
struct PreTokenizerOption: ParsableArguments {
  @Option(help: ArgumentHelp("How text is split before merging, instead of what the file says.", valueName: "name"))
  var pre: PreTokenizer?
}

/// What is said besides the results.
struct NoiseOptions: ParsableArguments {
  @Flag(help: "No progress and no notes.")
  var quiet = false

  @Flag(help: "Say which kernels, threads and adapters run.")
  var verbose = false

  func validate() throws {
    if quiet && verbose { throw ValidationError("--quiet and --verbose exclude each other.") }
  }
}

/// `FILE` or `FILE=SCALE`.
struct AdapterChoice: ExpressibleByArgument {
  let path: String
  let scale: Float

  init(path: String, scale: Float) {
    self.path = path
    self.scale = scale
  }

  init?(argument: String) {
    guard let equals = argument.lastIndex(of: "=") else {
      (path, scale) = (argument, 1)
      return
    }
    guard let scale = Float(argument[argument.index(after: equals)...]), scale.isFinite else { return nil }
    (path, self.scale) = (String(argument[..<equals]), scale)
  }

  func policy(_ model: LlamaModel) throws -> Policy {
    try Policy(model, adapter: .read(path, for: model.loraBase), scale: scale)
  }
}

/// The adapter of the policy. Several are read, so that a second one is not silently the only one.
struct AdapterOption: ParsableArguments {
  @Option(
    name: .customLong("adapter"),
    help: "A LoRA adapter (GGUF, PEFT or MLX), with a scale if wished: FILE or FILE=SCALE.")
  private var given: [AdapterChoice] = []

  func choice() throws -> AdapterChoice? {
    if given.count > 1 { throw ValidationError("--adapter is given \(given.count) times; give one.") }
    return given.first
  }
}

/// The other policy of a comparison: `base`, or an adapter.
enum ReferenceChoice: ExpressibleByArgument {
  case base
  case adapter(AdapterChoice)

  init?(argument: String) {
    if argument == "base" {
      self = .base
    } else {
      guard let adapter = AdapterChoice(argument: argument) else { return nil }
      self = .adapter(adapter)
    }
  }

  func policy(_ model: LlamaModel) throws -> Policy {
    switch self {
    case .base: try Policy(model)
    case .adapter(let adapter): try adapter.policy(model)
    }
  }
}

/// Bytes, such as 512MiB or 16GiB.
struct MemorySize: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    guard let bytes = ConfigField.size(argument) else { return nil }
    self.bytes = bytes
  }
}

/// How large the batch of answers may grow.
struct BatchOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Most memory beside the model, such as 4GiB; without it, half of what this process may have.", valueName: "size"))
  var memory: MemorySize?

  @Option(parsing: .unconditional, help: "Most answers in flight at once, if memory has room for them.")
  var parallel = GenerationOptions.defaultSequences

  func check() throws { try Allowed.repetitions.check(parallel, of: "--parallel") }
}
