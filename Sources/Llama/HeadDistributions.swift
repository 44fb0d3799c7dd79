/// What else the distribution behind a row says: its entropy and its most probable tokens. Worked out on the way through the
/// vocabulary that the log-probs take, so `[T, V]` is not in memory and the log-probs keep their bits.

import Foundation
import Tensors

/// A token and its log-probability in nats, at temperature 1.
public struct TokenLogProb: Equatable, Hashable, Sendable {
  public let token: TokenID
  public let logp: Float

  public init(token: TokenID, logp: Float) {
    self.token = token
    self.logp = logp
  }
}

/// The distribution that a token was predicted from, as far as it was asked for.
public struct TokenDistribution: Equatable, Sendable {
  /// Of the token that came.
  public let logp: Float
  /// −Σ p log p over the whole vocabulary, in nats.
  public let entropy: Double
  /// The most probable tokens, best first; of equal ones the lower id.
  public let top: [TokenLogProb]
}

extension Head {
  /// The log-prob of each target, with the entropy and the `top` most probable tokens of the distribution it comes from.
  ///
  /// - Parameters:
  ///   - hidden: `T` rows.
  ///   - targets: `T` token ids; `targets[t]` is the token that follows row `t`.
  ///   - top: how many tokens to name; at most `V` are.
  /// - Returns: `T` distributions. `logp` has the bits of `logProbs`, and so has that token among `top`. No value depends on the
  ///   other rows.
  /// - Throws: `LlamaError.token` when an id is not below `V`.
  public func distributions(_ hidden: HiddenRows, targets: [TokenID], top: Int) throws -> [TokenDistribution] {
    var entropies = [RunningEntropy](repeating: RunningEntropy(), count: hidden.rows)
    var best = [BestTokens](repeating: BestTokens(limit: top), count: hidden.rows)
    let differences = Buffer<Float>(count: Kernels.vocabularyTile)
    let exponentials = Buffer<Float>(count: Kernels.vocabularyTile)
    let (logProbs, logSums) = try sweep(hidden, targets: targets) { rows, tokens, z in
      for (index, row) in rows.enumerated() {
        let logits = UnsafeBufferPointer(start: z.pointer + index * z.columns, count: tokens.count)
        entropies[row].add(logits, differences, exponentials, kernels)
        best[row].add(logits, first: tokens.lowerBound)
      }
    }
    return logProbs.indices.map { row in
      TokenDistribution(
        logp: logProbs[row], entropy: entropies[row].value,
        top: best[row].list.map { TokenLogProb(token: $0.token, logp: $0.logit - logSums[row]) })
    }
  }
}

/// Entropy of a softmax whose logits come in tiles. With m the largest logit so far, s = Σ e^(z−m) and w = Σ e^(z−m) (z−m), it
/// is log s − w/s. When m grows by d, s becomes e^(−d) s, and w becomes e^(−d) (w − d s).
private struct RunningEntropy {
  private var maximum = -Float.infinity
  private var sum = 0.0
  private var weighted = 0.0

  var value: Double { log(sum) - weighted / sum }

  /// - Parameters:
  ///   - differences, exponentials: room for a tile.
  mutating func add(
    _ logits: UnsafeBufferPointer<Float>, _ differences: Buffer<Float>, _ exponentials: Buffer<Float>,
    _ kernels: Kernels
  ) {
    raise(to: logits.reduce(maximum) { max($0, $1) })
    for i in logits.indices { differences[i] = logits[i] - maximum }
    kernels.exp(exponentials, differences)
    for i in logits.indices {
      let e = Double(exponentials[i])
      sum += e
      weighted += e * Double(differences[i])
    }
  }

  private mutating func raise(to largest: Float) {
    guard largest > maximum else { return }
    if sum > 0 {
      let distance = Double(largest) - Double(maximum)
      let factor = exp(-distance)
      weighted = factor * (weighted - distance * sum)
      sum *= factor
    }
    maximum = largest
  }
}

/// The tokens of the largest logits, best first. Tokens come in ascending order, so of equal ones the lower id stays ahead.
private struct BestTokens {
  let limit: Int
  private(set) var list: [(token: TokenID, logit: Float)] = []

  init(limit: Int) { self.limit = limit }

  mutating func add(_ logits: UnsafeBufferPointer<Float>, first: Int) {
    guard limit > 0 else { return }
    for (i, logit) in logits.enumerated() where list.count < limit || logit > list[list.count - 1].logit {
      if list.count == limit { list.removeLast() }
      let place = list.firstIndex { logit > $0.logit } ?? list.count
      list.insert((TokenID(first + i), logit), at: place)
    }
  }
}
