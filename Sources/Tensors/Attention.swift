import CKernels

/// Heads and widths of one attention layer.
public struct AttentionShape: Equatable, Sendable {
  public let heads: Int
  public let kvHeads: Int
  public let headDim: Int
  public let scale: Float

  public init(heads: Int, kvHeads: Int, headDim: Int, scale: Float) {
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
