/// Byte-pair merging of one piece of text (Sennrich et al. 2016, arXiv 1508.07909): again and again the pair of
/// neighbours with the lowest rank is joined, the leftmost first. With a heap of candidate pairs over a linked list
/// this takes n log n steps, so a piece of a million letters is no trap.

import Tensors

struct BytePairMerger: Sendable {
  /// The token of each single byte; nil when the vocabulary has none.
  let byteTokens: [TokenID?]
  let pairs: PairTable
  /// The token made by the merge of each rank.
  let products: [TokenID]

  /// Appends the tokens of `piece` to `output`. A byte without a token gives nothing, as in Hugging Face's encoder.
  func encode(_ piece: ArraySlice<UInt8>, into output: inout [TokenID], using work: inout MergeWork) {
    work.clear()
    for byte in piece {
      if let token = byteTokens[Int(byte)] { work.tokens.append(token) }
    }
    let count = work.tokens.count
    if count > 1 { merge(count, &work) }
    var node = count > 0 ? 0 : -1
    while node >= 0 {
      output.append(work.tokens[node])
      node = count > 1 ? work.next[node] : -1
    }
  }

  private func merge(_ count: Int, _ work: inout MergeWork) {
    for node in 0..<count {
      work.previous.append(node - 1)
      work.next.append(node + 1 < count ? node + 1 : -1)
      work.ranks.append(PairTable.none)
    }
    for node in 0..<(count - 1) { rankPair(at: node, &work) }
    while let (rank, node) = work.heap.popLowest() {
      // A pair that changed after it was pushed has another rank now.
      guard work.ranks[node] == rank else { continue }
      let right = work.next[node]
      work.tokens[node] = products[Int(rank)]
      work.ranks[right] = PairTable.none
      work.next[node] = work.next[right]
      if work.next[right] >= 0 { work.previous[work.next[right]] = node }
      rankPair(at: node, &work)
      if work.previous[node] >= 0 { rankPair(at: work.previous[node], &work) }
    }
  }

  /// Notes the rank of the pair that starts at `node`, and makes it a candidate.
  private func rankPair(at node: Int, _ work: inout MergeWork) {
    let right = work.next[node]
    let rank = right < 0 ? PairTable.none : pairs.rank(work.tokens[node], work.tokens[right])
    work.ranks[node] = rank
    if rank != PairTable.none { work.heap.push(rank: rank, node: node) }
  }
}

/// Memory for one merge, kept from piece to piece.
struct MergeWork {
  fileprivate(set) var tokens: [TokenID] = []
  fileprivate var next: [Int] = []
  fileprivate var previous: [Int] = []
  /// Rank of the pair of each node and its right neighbour.
  fileprivate var ranks: [UInt32] = []
  fileprivate var heap = CandidateHeap()

  fileprivate mutating func clear() {
    tokens.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    ranks.removeAll(keepingCapacity: true)
    heap.removeAll()
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
