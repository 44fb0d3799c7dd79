/// Byte-pair merging of one piece of text (Sennrich et al. 2016, arXiv 1508.07909): again and again the pair of
/// neighbours with the lowest rank is joined, the leftmost first. With a heap of candidate pairs over a linked list
/// this takes n log n steps, so a piece of a million letters is no trap.

import Tensors

struct BytePairMerger: MergeRule {
  /// The token of each single byte; nil when the vocabulary has none.
  let byteTokens: [TokenID?]
  let pairs: PairTable
  /// The token made by the merge of each rank.
  let products: [TokenID]

  /// Appends the tokens of `piece` to `output`. A byte without a token gives nothing, as in Hugging Face's encoder.
  func encode(_ piece: ArraySlice<UInt8>, into output: inout [TokenID], using work: inout MergeWork) {
    work.clear()
    for position in piece.indices {
      if let token = byteTokens[Int(piece[position])] { work.append(token, at: position) }
    }
    work.merge(by: self)
    work.visit { node in output.append(work.tokens[node]) }
  }

  func merge(of left: Int, _ right: Int, in work: MergeWork) -> (rank: UInt32, product: TokenID)? {
    let rank = pairs.rank(work.tokens[left], work.tokens[right])
    return rank == PairTable.none ? nil : (rank, products[Int(rank)])
  }
}

/// Which neighbours may be joined, and how soon.
protocol MergeRule {
  /// The merge of two neighbours, nodes of `work`; the lowest rank is joined first. Nil when they stay apart.
  func merge(of left: Int, _ right: Int, in work: MergeWork) -> (rank: UInt32, product: TokenID)?
}

/// The symbols of one piece as a linked list. Its memory is kept from piece to piece.
struct MergeWork {
  private(set) var tokens: [TokenID] = []
  /// Where each symbol starts in the text.
  private(set) var starts: [Int] = []
  private(set) var next: [Int] = []
  private var previous: [Int] = []
  /// Rank and product of the pair of each node and its right neighbour.
  private var ranks: [UInt32] = []
  private var products: [TokenID] = []
  private var heap = CandidateHeap()

  mutating func clear() {
    tokens.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
  }

  mutating func append(_ token: TokenID, at start: Int) {
    if !next.isEmpty { next[next.count - 1] = next.count }
    tokens.append(token)
    starts.append(start)
    next.append(-1)
  }

  /// Calls `body` with the nodes that are left, in order.
  func visit(_ body: (Int) -> Void) {
    var node = tokens.isEmpty ? -1 : 0
    while node >= 0 {
      body(node)
      node = next[node]
    }
  }

  mutating func merge(by rule: some MergeRule) {
    let count = tokens.count
    guard count > 1 else { return }
    previous.removeAll(keepingCapacity: true)
    previous.append(contentsOf: -1..<(count - 1))
    ranks.removeAll(keepingCapacity: true)
    ranks.append(contentsOf: repeatElement(PairTable.none, count: count))
    products.removeAll(keepingCapacity: true)
    products.append(contentsOf: repeatElement(0, count: count))
    heap.removeAll()
    for node in 0..<(count - 1) { rankPair(at: node, rule) }
    while let (rank, node) = heap.popLowest() {
      // A pair that changed after it was pushed has another rank now, or stands for the same merge.
      guard ranks[node] == rank else { continue }
      let right = next[node]
      tokens[node] = products[node]
      ranks[right] = PairTable.none
      next[node] = next[right]
      if next[right] >= 0 { previous[next[right]] = node }
      rankPair(at: node, rule)
      if previous[node] >= 0 { rankPair(at: previous[node], rule) }
    }
  }

  /// Notes the merge of the pair that starts at `node`, and makes it a candidate.
  private mutating func rankPair(at node: Int, _ rule: some MergeRule) {
    guard next[node] >= 0, let found = rule.merge(of: node, next[node], in: self) else {
      ranks[node] = PairTable.none
      return
    }
    ranks[node] = found.rank
    products[node] = found.product
    heap.push(rank: found.rank, node: node)
  }
}

/// A binary heap of (rank, node), lowest rank first and among equals the leftmost node. Each entry is one integer:
/// 24 bits of rank (`TokenizerVocabulary.mergeLimit`) above 40 bits of node.
struct CandidateHeap {
  private var entries: [UInt64] = []

  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  mutating func push(rank: UInt32, node: Int) {
    let entry = UInt64(rank) << 40 | UInt64(node)
    var index = entries.count
    entries.append(entry)
    while index > 0 {
      let parent = (index - 1) / 2
      guard entries[parent] > entry else { break }
      entries[index] = entries[parent]
      index = parent
    }
    entries[index] = entry
  }

  mutating func popLowest() -> (rank: UInt32, node: Int)? {
    guard let lowest = entries.first, let last = entries.popLast() else { return nil }
    if !entries.isEmpty {
      var index = 0
      while true {
        var child = 2 * index + 1
        guard child < entries.count else { break }
        if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
        guard entries[child] < last else { break }
        entries[index] = entries[child]
        index = child
      }
      entries[index] = last
    }
    return (UInt32(lowest >> 40), Int(lowest & (1 << 40 - 1)))
  }
}
