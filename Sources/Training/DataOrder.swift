/// The order of the data in each epoch, from the seed alone, so that a resumed run needs only its cursor.

import Tensors

public struct DataOrder: Equatable, Sendable {
  public let count: Int
  public let seed: UInt64

  public init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
  }

  /// All of `0..<count` in the order of epoch `epoch` (Fisher and Yates, from the back).
  public func indices(epoch: Int) -> [Int] {
    var random = CounterRandom(seed: seed, UInt64(epoch)).stream
    var order = Array(0..<count)
    for last in stride(from: count - 1, to: 0, by: -1) {
      // The high half of a 64 × 64 bit product: uniform to within count / 2⁶⁴, and fixed for all time.
      order.swapAt(last, Int(random.next().multipliedFullWidth(by: UInt64(last + 1)).high))
    }
    return order
  }

  /// Windows of at most `batch` indices, those of one optimiser step each; the last of an epoch may be shorter.
  public func batches(epoch: Int, of batch: Int) -> [ArraySlice<Int>] {
    precondition(batch > 0, "a batch needs at least one pair, not \(batch)")
    let order = indices(epoch: epoch)
    return stride(from: 0, to: count, by: batch).map { order[$0..<min($0 + batch, count)] }
  }
}
