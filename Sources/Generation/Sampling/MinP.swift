import Foundation

/// Keeps tokens at least this fraction as probable as the most probable one (Nguyen et al. 2024, arXiv 2407.01082).
struct MinP: SamplerStage {
  let fraction: Double

  var isOn: Bool { fraction > 0 }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    let least = candidates.maximum + Float(log(fraction))
    candidates.keep { $0.logit >= least }
  }
}
