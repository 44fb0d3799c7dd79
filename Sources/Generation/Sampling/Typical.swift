import Foundation

/// Locally typical sampling (Meister et al. 2022, arXiv 2202.00666): keeps the tokens whose surprise is nearest to the entropy,
/// until their probability exceeds p.
struct Typical: SamplerStage {
  let probability: Double

  var isOn: Bool { probability < 1 }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    let (logProbs, entropy) = (candidates.logProbs(), candidates.entropy())
    let places = logProbs.indices.filter { logProbs[$0] > -.infinity }
      .sorted { (abs(-logProbs[$0] - entropy), $0) < (abs(-logProbs[$1] - entropy), $1) }
    var sum = 0.0
    let crossing = places.firstIndex {
      sum += exp(logProbs[$0])
      return sum > probability
    }
    candidates.keep(places: places.prefix((crossing ?? places.count - 1) + 1))
  }
}
