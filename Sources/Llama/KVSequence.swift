import Tensors

/// Keys and values of one sequence under one policy, in pages of 64 positions that forks share.
///
/// They depend on the adapter, so a sequence goes on under the policy it was begun with; other policies have their own.
/// A page belongs to every sequence that holds it. Whole pages are never written again, so sharing them changes no bit; the
/// last, partial page is copied on a fork.
public final class KVSequence {
  /// 64 positions of every block: block `b` starts at `places[b]`.
  final class Page {
    let memory: Buffer<UInt8>
    init(bytes: Int) { memory = Buffer(count: bytes) }

    func copy() -> Page {
      let other = Page(bytes: memory.count)
      other.memory.pointer.update(from: memory.pointer, count: memory.count)
      return other
    }
  }

  public let policy: Policy
  private let places: [Int]
  private let pageBytes: Int
  private var pages: [Page]
  /// Positions written so far.
  public private(set) var length: Int

  public convenience init(_ policy: Policy) { self.init(policy, pages: [], length: 0) }

  private init(_ policy: Policy, pages: [Page], length: Int) {
    self.policy = policy
    var bytes = 0
    places = (0..<policy.model.config.blockCount).map { block in
      defer { bytes += policy.model.attention(block).pageBytes }
      return bytes
    }
    pageBytes = bytes
    self.pages = pages
    self.length = length
  }

  /// Bytes of one page, all blocks.
  public static func pageBytes(_ model: LlamaModel) -> Int {
    (0..<model.config.blockCount).reduce(0) { $0 + model.attention($1).pageBytes }
  }

  /// A sequence with the same past; the two go on separately.
  public func fork() -> KVSequence {
    let whole = length / AttentionShape.pagePositions
    let partial = length.isMultiple(of: AttentionShape.pagePositions) ? [] : [pages[whole].copy()]
    return KVSequence(policy, pages: pages.prefix(whole) + partial, length: length)
  }

  /// Makes room for `count` more positions and counts them as written. The forward that calls this writes them.
  func extend(by count: Int) {
    length += count
    while pages.count * AttentionShape.pagePositions < length {
      pages.append(Page(bytes: pageBytes))
    }
  }

  /// The pages of one block, for the kernels.
  func pages(block: Int) -> [UnsafeMutableRawPointer] {
    pages.map { UnsafeMutableRawPointer($0.memory.pointer) + places[block] }
  }
}
