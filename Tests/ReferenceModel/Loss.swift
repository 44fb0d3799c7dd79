/// The INPO loss (Zhang et al., arXiv 2407.00617, Eq. 8) of pairs of answers, and its gradient in every A and B.

public struct TwinPair: Sendable {
  public var prompt: [Int]
  public var chosen: [Int]
  public var rejected: [Int]
  /// log π_ref(chosen | prompt) − log π_ref(rejected | prompt), in nats.
  public var reference: Double
  /// The same under π_t.
  public var previous: Double

  /// `prompt` has at least one token: the first token of an answer needs something before it.
  public init(prompt: [Int], chosen: [Int], rejected: [Int], reference: Double = 0, previous: Double = 0) {
    precondition(!prompt.isEmpty, "a prompt needs at least one token")
    self.prompt = prompt
    self.chosen = chosen
    self.rejected = rejected
    self.reference = reference
    self.previous = previous
  }
}

public struct TwinINPO: Sendable {
  public var eta: Double
  /// ρ = τ/η, from 0 to 1.
  public var ratio: Double

  public init(eta: Double, ratio: Double) {
    self.eta = eta
    self.ratio = ratio
  }

  /// loss = (Δ_π − ρ Δ_ref − (1 − ρ) Δ_t − 1/(2η))², and its derivative in Δ_π.
  public func callAsFunction(policy: Double, reference: Double, previous: Double) -> (loss: Double, dPolicy: Double) {
    let residual = policy - ratio * reference - (1 - ratio) * previous - 1 / (2 * eta)
    return (residual * residual, 2 * residual)
  }
}

extension TwinModel {
  /// log π(response | prompt): the sum over the response's tokens, in nats.
  public func logProb(of response: [Int], after prompt: [Int], _ adapter: TwinAdapter = TwinAdapter()) -> Double {
    forward(prompt + response, adapter).logProbs.suffix(response.count).reduce(0, +)
  }

  /// Δ = log π(chosen | prompt) − log π(rejected | prompt).
  public func logRatio(_ pair: TwinPair, _ adapter: TwinAdapter = TwinAdapter()) -> Double {
    logProb(of: pair.chosen, after: pair.prompt, adapter) - logProb(of: pair.rejected, after: pair.prompt, adapter)
  }

  /// Mean loss over `pairs`, and its gradient in every A and B of `adapter`.
  public func lossGradients(
    _ pairs: [TwinPair], _ objective: TwinINPO, _ adapter: TwinAdapter
  ) -> (loss: Double, gradient: TwinAdapter) {
    var loss = 0.0
    var gradient = TwinAdapter(zerosLike: adapter)
    for pair in pairs {
      let sides = [(pair.chosen, 1.0), (pair.rejected, -1.0)].map { response, sign in
        let signs =
          [Double](repeating: 0, count: pair.prompt.count - 1) + [Double](repeating: sign, count: response.count)
        return (tape: forward(pair.prompt + response, adapter), signs: signs)
      }
      let policy = sides.reduce(0) { $0 + zip($1.signs, $1.tape.logProbs).map(*).reduce(0, +) }
      let (pairLoss, dPolicy) = objective(policy: policy, reference: pair.reference, previous: pair.previous)
      loss += pairLoss / Double(pairs.count)
      for side in sides {
        let coefficients = side.signs.map { $0 * dPolicy / Double(pairs.count) }
        gradient.add(backward(coefficients, at: side.tape, adapter).gradient)
      }
    }
    return (loss, gradient)
  }
}
