/// Supervised fine-tuning on the chosen answer: −log π(y_w|x)/|y_w|, cross-entropy in nats a token of the answer. The prompt
/// is not trained. Every answer counts alike, however long; a batch is the mean over its answers.

import Training

public struct SFTLoss: PairLoss, Equatable {
  public init() {}

  public var needs: PairNeeds { [] }

  public func callAsFunction(_ m: PairMargins) -> PairOutcome {
    let n = Double(m.chosen.tokens)
    return PairOutcome(loss: -m.chosen.policy / n, dChosen: -1 / n, dRejected: 0)
  }
}
