import Foundation

/// Nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751): keeps the most probable tokens until their probability reaches p,
/// the crossing token included.
struct TopP: SamplerStage {
  let probability: Double

  var isOn: Bool { probability < 1 }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    let logSum = candidates.logSum()
    // Tokens below (1 − p) / n together hold less than 1 − p, so none of them is needed; sorting the rest is cheap.
    let floor = logSum + log((1 - probability) / Double(candidates.count))
    candidates.keep { Double($0.logit) >= floor }
    candidates.sort()
    var sum = 0.0
    let crossing = candidates.list.firstIndex {
      sum += exp(Double($0.logit) - logSum)
      return sum >= probability
    }
    if let crossing { candidates.keep(places: 0...crossing) }
  }
}
