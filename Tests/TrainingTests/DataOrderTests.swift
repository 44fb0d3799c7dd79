import Testing
import Training

@Test func everyEpochHasAllOfTheDataInItsOwnOrder() {
  let order = DataOrder(count: 100, seed: 3)
  let epochs = (0..<4).map { order.indices(epoch: $0) }
  for epoch in epochs { #expect(epoch.sorted() == Array(0..<100)) }
  #expect(Set(epochs).count == 4)
  #expect(DataOrder(count: 100, seed: 3).indices(epoch: 2) == epochs[2])
  #expect(DataOrder(count: 100, seed: 4).indices(epoch: 2) != epochs[2])
}

@Test func theOrderIsFixedForAllTime() {
  // A checkpoint stores only a cursor: these orders may never change. (Computed by another program.)
  #expect(DataOrder(count: 8, seed: 0).indices(epoch: 0) == [4, 3, 6, 5, 0, 2, 7, 1])
  #expect(DataOrder(count: 8, seed: 12345).indices(epoch: 3) == [3, 5, 6, 0, 1, 4, 7, 2])
  #expect(DataOrder(count: 0, seed: 1).indices(epoch: 0).isEmpty)
  #expect(DataOrder(count: 1, seed: 1).indices(epoch: 0) == [0])
}

@Test func positionsAreEvenlySpread() {
  var first = [Int](repeating: 0, count: 5)
  for seed in 0..<5000 { first[DataOrder(count: 5, seed: UInt64(seed)).indices(epoch: 0)[0]] += 1 }
  // Binomial deviation √(5000·0.2·0.8) = 28; five of them.
  #expect(first.allSatisfy { abs($0 - 1000) < 140 })
}

@Test func batchesCutTheOrder() {
  let order = DataOrder(count: 10, seed: 1)
  let batches = order.batches(epoch: 5, of: 4)
  #expect(batches.map(\.count) == [4, 4, 2])
  #expect(batches.flatMap { $0 } == order.indices(epoch: 5))
}
