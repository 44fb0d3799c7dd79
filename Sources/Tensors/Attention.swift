import CKernels

/// How the cache keeps keys and values: as they are, or rounded when they are written. Attention over the rounded ones is
/// the same to the bit however it is cut.
public enum KVFormat: String, CaseIterable, Codable, Sendable {
  /// 32 bits a value.
  case f32
  /// 16 bits: IEEE halves.
  case f16
  /// 9 bits: blocks of 32 bytes with a float scale. Heads are a multiple of 32 wide.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  case q8_0

  /// Whether heads of this width can be kept.
  public func fits(headDim: Int) -> Bool { self != .q8_0 || headDim.isMultiple(of: Int(K_ACT_BLOCK)) }

  var format: k_format {
    switch self {
    case .f32: K_F32
    case .f16: K_F16
    case .q8_0: K_Q8_0
    }
  }
}

/// Heads and widths of one attention layer.
public struct AttentionShape: Equatable, Sendable {
  public let heads: Int
  public let kvHeads: Int
  public let headDim: Int
  public let scale: Float
  /// What pages hold.
  public let kv: KVFormat
  /// A row sees its own position and the `window − 1` before it; nil: all before it.
  public let window: Int?

  /// The widest head the kernels have room for.
  public static let maximumHeadDim = 256

  /// - Precondition: `heads` is a multiple of `kvHeads`; `headDim` is even, at most `maximumHeadDim` and
  ///   fits `kv`; `window` is at least 1.
  public init(
    heads: Int, kvHeads: Int, headDim: Int, scale: Float, kv: KVFormat = .f32, window: Int? = nil
  ) {
    precondition(
      kvHeads > 0 && heads > 0 && heads.isMultiple(of: kvHeads),
      "\(heads) heads cannot share \(kvHeads) key/value heads")
    precondition(
      headDim > 0 && headDim.isMultiple(of: 2) && headDim <= Self.maximumHeadDim,
      "a head of \(headDim) is not an even number up to \(Self.maximumHeadDim)")
    precondition(kv.fits(headDim: headDim), "a head of \(headDim) is not whole blocks of \(kv)")
    precondition(window.map { $0 > 0 } ?? true, "a window of \(window ?? 0) positions shows nothing")
    self.heads = heads
    self.kvHeads = kvHeads
    self.headDim = headDim
    self.scale = scale
    self.kv = kv
    self.window = window
  }

  /// Positions in a page of the cache.
  public static let pagePositions = Int(K_PAGE)
  /// Bytes of one page of one block: keys, then values.
  public var pageBytes: Int { k_page_bytes(c) }

  var c: k_attention_shape {
    k_attention_shape(
      heads: heads, kv_heads: kvHeads, head_dim: headDim, scale: scale, format: kv.format, window: window ?? 0)
  }
}

/// Runs of new rows, each of one sequence, with the pages of that sequence for one block of the model.
public struct SegmentList {
  public struct Segment {
    public let firstRow: Int
    public let rows: Int
    public let firstPosition: Int
    /// Pages for positions 0..<(firstPosition + rows), in order.
    public let pages: [UnsafeMutableRawPointer]

    public init(firstRow: Int, rows: Int, firstPosition: Int, pages: [UnsafeMutableRawPointer]) {
      precondition(
        pages.count * AttentionShape.pagePositions >= firstPosition + rows,
        "\(pages.count) pages cannot hold \(firstPosition + rows) positions")
      self.firstRow = firstRow
      self.rows = rows
      self.firstPosition = firstPosition
      self.pages = pages
    }
  }

  public let segments: [Segment]

  public init(_ segments: [Segment]) { self.segments = segments }

  /// Rows a matrix needs to hold every run.
  var rows: Int { segments.map { $0.firstRow + $0.rows }.max() ?? 0 }

  /// Whether each segment starts at position 0 or, as a branch, where the last one that did ends.
  var areGroups: Bool {
    var end: Int?
    return segments.allSatisfy { segment in
      if segment.firstPosition == 0 { end = segment.rows }
      return segment.firstPosition == 0 || segment.firstPosition == end
    }
  }

  func withC(_ body: (UnsafePointer<k_segment>?, Int) -> Void) {
    let pages = segments.flatMap { $0.pages.map(Optional.some) }
    pages.withUnsafeBufferPointer { all in
      var offset = 0
      let list = segments.map { s in
        defer { offset += s.pages.count }
        return k_segment(
          pages: all.baseAddress.map { $0 + offset }, first_row: s.firstRow, rows: s.rows,
          first_position: s.firstPosition)
      }
      list.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
    }
  }
}
