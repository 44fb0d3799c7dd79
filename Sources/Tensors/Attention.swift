import CKernels

/// Heads and widths of one attention layer.
public struct AttentionShape: Equatable, Sendable {
  public let heads: Int
  public let kvHeads: Int
  public let headDim: Int
  public let scale: Float

  /// The widest head the kernels have room for.
  public static let maximumHeadDim = 256

  /// - Precondition: `heads` is a multiple of `kvHeads`; `headDim` is even and at most `maximumHeadDim`.
  public init(heads: Int, kvHeads: Int, headDim: Int, scale: Float) {
    precondition(
      kvHeads > 0 && heads > 0 && heads.isMultiple(of: kvHeads),
      "\(heads) heads cannot share \(kvHeads) key/value heads")
    precondition(
      headDim > 0 && headDim.isMultiple(of: 2) && headDim <= Self.maximumHeadDim,
      "a head of \(headDim) is not an even number up to \(Self.maximumHeadDim)")
    self.heads = heads
    self.kvHeads = kvHeads
    self.headDim = headDim
    self.scale = scale
  }

  /// Positions in a page of the cache.
  public static let pagePositions = Int(K_PAGE)
  /// Floats of one page of one block: keys, then values.
  public var pageFloats: Int { 2 * kvHeads * headDim * Self.pagePositions }

  var c: k_attention_shape {
    k_attention_shape(heads: heads, kv_heads: kvHeads, head_dim: headDim, scale: scale)
  }
}

/// Runs of new rows, each of one sequence, with the pages of that sequence for one block of the model.
public struct SegmentList {
  public struct Segment {
    public let firstRow: Int
    public let rows: Int
    public let firstPosition: Int
    /// Pages for positions 0..<(firstPosition + rows), in order.
    public let pages: [UnsafeMutablePointer<Float>]

    public init(firstRow: Int, rows: Int, firstPosition: Int, pages: [UnsafeMutablePointer<Float>]) {
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
