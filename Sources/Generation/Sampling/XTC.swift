import Foundation

/// "Exclude top choices": with a chance, of the tokens at least `threshold` probable all but the least probable one are dropped
/// (p-e-w 2024, text-generation-webui pull request 6335).
public struct XTC: Equatable, Sendable, SamplerStage {
  /// The chance; 0 turns it off.
  public var probability: Double
  /// Above 0.5 no two tokens can pass.
  public var threshold: Double

  public init(probability: Double = 0, threshold: Double = 0.1) {
    self.probability = probability
    self.threshold = threshold
  }

  var isOn: Bool { probability > 0 && threshold <= 0.5 }

  func check() throws(SamplerError) {
    guard probability >= 0, probability <= 1 else {
      throw .value("xtc-probability", "\(probability)", "between 0 (off) and 1")
    }
    guard threshold >= 0, threshold <= 1 else { throw .value("xtc-threshold", "\(threshold)", "between 0 and 1") }
  }

  func apply(to candidates: inout Candidates, _ situation: DrawSituation) {
    guard situation.chance < probability else { return }
    let least = candidates.logSum() + log(threshold)
    let choices = candidates.list.filter { Double($0.logit) >= least }
    guard choices.count > 1, let last = choices.max(by: Candidates.isMoreProbable) else { return }
    candidates.keep { Double($0.logit) < least || $0.token == last.token }
  }
}
