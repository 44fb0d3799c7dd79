import Tensors

/// Adds a number to the logits of single tokens; −∞ forbids them.
struct LogitBias: SamplerStage {
  private let bias: [TokenID: Float]

  init(_ bias: [TokenID: Float]) { self.bias = bias }

  var isOn: Bool { bias.contains { $0.value != 0 } }

  func apply(to candidates: inout Candidates, _: DrawSituation) {
    candidates.setLogits { $0.logit + (bias[$0.token] ?? 0) }
  }
}
