/// Keeps logits within n standard deviations of the largest (Tang et al. 2024, arXiv 2411.07641). The deviation is the
/// population's, over finite logits.
struct TopNSigma: SamplerStage {
  let deviations: Double

  var isOn: Bool { deviations > 0 }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    let logits = candidates.list.lazy.map { Double($0.logit) }.filter(\.isFinite)
    let (count, sum) = logits.reduce((0.0, 0.0)) { ($0.0 + 1, $0.1 + $1) }
    let mean = sum / count
    let variance = logits.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    let least = Double(candidates.maximum) - deviations * variance.squareRoot()
    candidates.keep { Double($0.logit) >= least }
  }
}
