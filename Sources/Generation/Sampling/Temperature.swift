import Foundation

/// Divides the logits; 0 takes the most probable token, the first of equals. The dynamic form follows the entropy.
struct Temperature: SamplerStage {
  private let temperature: Double
  private let dynamic: DynamicTemperature

  init(_ temperature: Double, _ dynamic: DynamicTemperature) {
    self.temperature = temperature
    self.dynamic = dynamic
  }

  var isOn: Bool { temperature != 1 || dynamic.isOn }
  /// Whether the same number divides all logits everywhere, and is none that only keeps the best.
  var isPlainDivision: Bool { temperature > 0 && !dynamic.isOn }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    let temperature = dynamic.isOn ? dynamic.temperature(around: temperature, &candidates) : temperature
    guard temperature > 0 else { return candidates.keepBest() }
    // From the largest logit, so that the best token weighs 1 however small the temperature. Divided, because the inverse of
    // the smallest temperatures is infinite.
    let maximum = Double(candidates.maximum)
    candidates.setLogits { Float((Double($0.logit) - maximum) / temperature) }
  }
}

/// A temperature between `temperature ± range`: low where the policy is sure, high where it is not,
/// T = Tmin + (Tmax − Tmin) · (H / ln n)^exponent for entropy H over n candidates (Zhu et al. 2024, arXiv 2403.14541).
public struct DynamicTemperature: Equatable, Sendable {
  /// 0 turns it off.
  public var range: Double
  public var exponent: Double

  public init(range: Double = 0, exponent: Double = 1) {
    self.range = range
    self.exponent = exponent
  }

  var isOn: Bool { range > 0 }

  func check() throws(SamplerError) {
    guard range.isFinite, range >= 0 else { throw .value("dynatemp-range", "\(range)", "0 (off) or more") }
    guard exponent.isFinite, exponent >= 0 else { throw .value("dynatemp-exp", "\(exponent)", "0 or more") }
  }

  fileprivate func temperature(around middle: Double, _ candidates: inout Candidates) -> Double {
    guard candidates.count > 1 else { return middle }
    let (low, high) = (max(0, middle - range), middle + range)
    let share = max(0, candidates.entropy()) / log(Double(candidates.count))
    return low + (high - low) * pow(share, exponent)
  }
}
