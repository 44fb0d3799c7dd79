/// Keeps the k most probable tokens; the smaller of equals goes first.
struct TopK: SamplerStage {
  let count: Int

  var isOn: Bool { count > 0 }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    candidates.keepFirst(count, Candidates.isMoreProbable)
  }
}
