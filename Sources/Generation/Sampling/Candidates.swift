import Foundation
import Tensors

/// The tokens that can still be drawn, and their logits on the way through the chain.
struct Candidates {
  struct Candidate {
    let token: TokenID
    var logit: Float
  }

  /// Never empty, and one logit at least is finite.
  private(set) var list: [Candidate]
  /// Log-sum-exp of the logits, where it is known.
  private var knownLogSum: Double?
  private let kernels: Kernels

  init(_ logits: UnsafeBufferPointer<Float>, logSum: Float, kernels: Kernels) {
    list = logits.indices.map { Candidate(token: TokenID($0), logit: logits[$0]) }
    knownLogSum = Double(logSum)
    self.kernels = kernels
  }

  var count: Int { list.count }
  var maximum: Float { list.reduce(-.infinity) { max($0, $1.logit) } }

  // MARK: Probabilities

  /// Log-probability of each candidate among all of them, in nats.
  mutating func logProbs() -> [Double] {
    let sum = logSum()
    return list.map { Double($0.logit) - sum }
  }

  /// exp(logit − maximum) of each candidate.
  func weights() -> (values: Buffer<Float>, maximum: Float) {
    let (shifted, values, maximum) = (Buffer<Float>(count: count), Buffer<Float>(count: count), maximum)
    for i in 0..<count { shifted.pointer[i] = list[i].logit - maximum }
    kernels.exp(values, shifted)
    return (values, maximum)
  }

  mutating func logSum() -> Double {
    if let knownLogSum { return knownLogSum }
    let (values, maximum) = weights()
    let sum = Double(maximum) + log(values.span.reduce(0) { $0 + Double($1) })
    knownLogSum = sum
    return sum
  }

  /// Expected surprise of a draw, in nats.
  mutating func entropy() -> Double {
    logProbs().reduce(0) { $1 > -.infinity ? $0 - exp($1) * $1 : $0 }
  }

  // MARK: What stages do

  /// Gives every logit a new value.
  mutating func setLogits(_ value: (Candidate) -> Float) {
    for i in list.indices { list[i].logit = value(list[i]) }
    knownLogSum = nil
  }

  /// Keeps the candidates that pass; whoever calls knows that one does.
  mutating func keep(_ passes: (Candidate) -> Bool) {
    let before = list.count
    list.removeAll { !passes($0) }
    if list.count < before { knownLogSum = nil }
  }

  /// Keeps these candidates, named by their places.
  mutating func keep(places: some Sequence<Int>) {
    list = places.map { list[$0] }
    knownLogSum = nil
  }

  /// Keeps the `count` first by `isBefore`, in any order.
  mutating func keepFirst(_ count: Int, _ isBefore: (Candidate, Candidate) -> Bool) {
    guard count < list.count else { return }
    // Hoare's selection: the range that holds the cut shrinks until the cut is its end.
    var (low, high) = (0, list.count - 1)
    while low < high {
      let pivot = list[(low + high) / 2]
      var (i, j) = (low, high)
      while i <= j {
        while isBefore(list[i], pivot) { i += 1 }
        while isBefore(pivot, list[j]) { j -= 1 }
        if i <= j {
          list.swapAt(i, j)
          i += 1
          j -= 1
        }
      }
      if count - 1 <= j { high = j } else if count - 1 >= i { low = i } else { break }
    }
    list.removeLast(list.count - count)
    knownLogSum = nil
  }

  /// Keeps the most probable one.
  mutating func keepBest() {
    list = list.min(by: Self.isMoreProbable).map { [$0] } ?? []
    knownLogSum = nil
  }

  /// Most probable first; the first of equals is the smaller token.
  mutating func sort() { list.sort(by: Self.isMoreProbable) }

  mutating func sortByToken() { list.sort { $0.token < $1.token } }

  static func isMoreProbable(_ a: Candidate, _ b: Candidate) -> Bool { (a.logit, b.token) > (b.logit, a.token) }
}
