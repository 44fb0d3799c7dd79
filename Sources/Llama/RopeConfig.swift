import Foundation
import GGUF

/// How positions become angles: the base, and how a model trained on shorter texts was stretched to longer ones.
public struct RopeConfig: Equatable, Sendable {
  public enum Scaling: Equatable, Sendable {
    case none
    /// Positions divided by `factor` (Chen et al. 2023, arXiv 2306.15595).
    case linear(factor: Double)
    /// Slow pairs are divided, fast ones are not, with a ramp between (Peng et al. 2023, arXiv 2309.00071).
    case yarn(factor: Double, originalContext: Int, betaFast: Double, betaSlow: Double)
    /// Frequencies divided by factors of the file: one list up to the original context, another beyond it (Ding et al. 2024,
    /// arXiv 2402.13753).
    case longrope(originalContext: Int)
  }

  /// Ministral's queries grow with their position p: by 1 + slope · ln(1 + ⌊p / length⌋).
  public struct Temperature: Equatable, Sendable {
    let slope: Double
    let length: Int
  }

  public let base: Float
  public let scaling: Scaling
  /// Of the turned queries and keys; 1 unless a scaling asks for more.
  public let magnitude: Double
  public let temperature: Temperature?

  init(_ keys: ArchitectureKeys, contextLength: Int) throws {
    let metadata = keys.metadata
    base = try metadata.optionalFloat(keys.name("rope.freq_base")) ?? 10_000
    guard base.isFinite, base > 0 else {
      throw LlamaError.inconsistent("the rotary base \(base) is not a positive number")
    }
    let original =
      try metadata.optionalPositive(keys.name("rope.scaling.original_context_length")) ?? contextLength
    let factor =
      try Double(keys.scale("rope.scaling.factor") ?? keys.scale("rope.scale_linear") ?? 1)
    let extra = Double(try keys.scale("rope.scaling.attn_factor") ?? 1)

    // A factor without a type is the old spelling of linear.
    switch try metadata.optionalString(keys.name("rope.scaling.type")) ?? "linear" {
    case "none":
      (scaling, magnitude) = (.none, extra)
    case "linear":
      (scaling, magnitude) = (factor == 1 ? .none : .linear(factor: factor), extra)
    case "yarn":
      for key in ["rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"] {
        guard try metadata.optionalFloat(keys.name(key)) ?? 1 == 1 else {
          throw LlamaError.unsupported(key: keys.name(key))
        }
      }
      scaling = .yarn(
        factor: factor, originalContext: original,
        betaFast: Double(try keys.scale("rope.scaling.yarn_beta_fast") ?? 32),
        betaSlow: Double(try keys.scale("rope.scaling.yarn_beta_slow") ?? 1))
      let logFactor = factor > 1 ? log(factor) : 0
      let ofAllDimensions = Double(try keys.scale("rope.scaling.yarn_log_multiplier") ?? 0)
      magnitude = extra * (1 + 0.1 * logFactor) / (1 + 0.1 * ofAllDimensions * logFactor)
    case "longrope":
      (scaling, magnitude) = (.longrope(originalContext: original), extra)
    case let other:
      throw LlamaError.ropeScaling(other)
    }

    temperature = try keys.scale("attention.temperature_scale").map { Temperature(slope: Double($0), length: original) }
  }
}
