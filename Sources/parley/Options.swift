/// Options that several commands share, and the values they stand for.

import Adapters
import ArgumentParser
import Generation
import Llama
import Tensors

extension Precision: ExpressibleByArgument {}

// `check` instead of the parser's `validate`: an unknown option is then reported before what its absence causes.

/// How the model is run.
struct ModelOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("A LLaMA-family model in GGUF.", valueName: "model"))
  var path: String

  @Option(help: "Arithmetic of the matrix products: int16 activations, or f32 throughout.")
  var precision: Precision = .int16

  @Option(help: "Threads; without it, the physical cores this process may use. No result depends on it.")
  var threads: Int?

  @Option(help: ArgumentHelp("Most positions of a sequence; without it, the model's own limit.", valueName: "n"))
  var ctx: Int?

  func check() throws {
    if let threads, threads < 1 { throw ValidationError("--threads is \(threads); give 1 or more.") }
    if let ctx, ctx < 1 { throw ValidationError("--ctx is \(ctx); give 1 or more.") }
  }
}

/// What is said besides the results.
struct NoiseOptions: ParsableArguments {
  @Flag(help: "No progress and no notes.")
  var quiet = false

  @Flag(help: "Say which kernels, threads and adapters run.")
  var verbose = false

  func check() throws {
    if quiet && verbose { throw ValidationError("--quiet and --verbose exclude each other.") }
  }
}

/// `FILE` or `FILE=SCALE`.
struct AdapterChoice: ExpressibleByArgument {
  let path: String
  let scale: Float

  init?(argument: String) {
    guard let equals = argument.lastIndex(of: "=") else {
      (path, scale) = (argument, 1)
      return
    }
    guard let scale = Float(argument[argument.index(after: equals)...]), scale.isFinite else { return nil }
    (path, self.scale) = (String(argument[..<equals]), scale)
  }

  func policy(_ model: LlamaModel) throws -> Policy {
    try Policy(model, adapter: LoRAAdapter.read(gguf: path), scale: scale)
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

/// How answers are drawn.
struct SamplerOptions: ParsableArguments {
  @Option(help: "Divides the logits; 0 takes the most probable token. Default: 1, for chat 0.5.")
  var temperature: Double?

  @Option(help: "Keep the k most probable tokens; 0 keeps all.")
  var topK = 0

  @Option(help: "Keep the fewest tokens whose probability reaches p; 1 keeps all. Default: 1, for chat 0.9.")
  var topP: Double?

  @Option(help: "Keep tokens at least this fraction as probable as the best; 0 keeps all.")
  var minP = 0.0

  @Option(help: "Seed of the randomness: the same seed gives the same answers.")
  var seed: UInt64 = 1

  @Option(help: "Most tokens of an answer.")
  var maxTokens = 512

  func check() throws {
    if maxTokens < 1 { throw ValidationError("--max-tokens is \(maxTokens); give 1 or more.") }
    do { try sampler().check() } catch { throw ValidationError("\(error)") }
  }

  /// What is not given takes the value of `defaults`: the policy itself, unless a command says otherwise.
  func sampler(defaults: SamplerConfig = SamplerConfig()) -> SamplerConfig {
    SamplerConfig(
      temperature: temperature ?? defaults.temperature, topK: topK, topP: topP ?? defaults.topP, minP: minP)
  }
}
