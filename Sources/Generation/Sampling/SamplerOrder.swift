import Tensors

/// In which order the stages of the sampler run. It matters: top-p after a temperature keeps another set than before it.
public struct SamplerOrder: Equatable, Sendable {
  /// Under the names that llama.cpp gives them.
  public enum Stage: String, CaseIterable, Sendable {
    case penalties, dry
    case topNSigma = "top_n_sigma"
    case topK = "top_k"
    case typical = "typ_p"
    case topP = "top_p"
    case minP = "min_p"
    case xtc, temperature
  }

  public let stages: [Stage]

  /// llama.cpp's: the temperature comes last, so what is cut does not depend on it.
  public static let llama = SamplerOrder(stages: [
    .penalties, .dry, .topNSigma, .topK, .typical, .topP, .minP, .xtc, .temperature,
  ])
  /// That of Hugging Face's `generate`, which cuts what the temperature has left; its missing stages come last.
  public static let huggingFace = SamplerOrder(stages: [
    .penalties, .dry, .temperature, .topK, .topP, .minP, .typical, .topNSigma, .xtc,
  ])

  private init(stages: [Stage]) { self.stages = stages }

  /// - Parameter text: names between semicolons, `top_k;top_p;temperature`. Stages that are not named do not run.
  /// - Throws: `SamplerError` for a name that is not known or comes twice.
  public init(_ text: String) throws(SamplerError) {
    var stages: [Stage] = []
    for part in text.split(separator: ";") {
      let name = String(part)
      guard let stage = Stage(rawValue: name) else { throw .unknownStage(name) }
      guard !stages.contains(stage) else { throw .repeatedStage(name) }
      stages.append(stage)
    }
    self.stages = stages
  }

  public var text: String { stages.map(\.rawValue).joined(separator: ";") }
}
