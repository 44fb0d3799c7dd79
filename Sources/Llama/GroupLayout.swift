import Tensors

/// Where the rows of scored groups lie: of each group the prompt's, then those of its answers. Holds the pages of one block of the
/// model, which every block writes anew.
///
/// An answer goes on where the prompt ends. It shares the prompt's whole pages; the positions in the prompt's last, partial page
/// are written into the answer's first page, too, so that each answer reads what it would read alone:
///
///     prompt    [ 0 … 63 ][ 64 … 99 ]
///     answer    [ shared ][ 64 … 99, 100 … 127 ][ 128 … ]
struct GroupLayout {
  let groups: [ScoredGroup]
  let tokens: [TokenID]
  let positions: [Int]
  /// The row that predicts each target, group by group and answer by answer. A prompt's last row predicts the first token of
  /// every answer.
  let targetRows: [Int]
  let targets: [TokenID]
  let attended: SegmentList
  let written: SegmentList
  private let pages: [Buffer<UInt8>]

  var rows: Int { tokens.count }

  init(_ groups: [ScoredGroup], pageBytes: Int) {
    let size = AttentionShape.pagePositions
    var tokens: [TokenID] = []
    var targetRows: [Int] = []
    var attended: [SegmentList.Segment] = []
    var written: [SegmentList.Segment] = []
    var pages: [Buffer<UInt8>] = []
    func append(_ run: some Collection<TokenID>, at position: Int, sharing shared: ArraySlice<UnsafeMutableRawPointer>)
      -> SegmentList.Segment
    {
      let own = (shared.count..<(position + run.count + size - 1) / size).map { _ in
        Buffer<UInt8>(count: pageBytes)
      }
      pages += own
      let segment = SegmentList.Segment(
        firstRow: tokens.count, rows: run.count, firstPosition: position,
        pages: shared + own.map { UnsafeMutableRawPointer($0.pointer) })
      attended.append(segment)
      written.append(segment)
      tokens += run
      return segment
    }

    for group in groups {
      let length = group.prompt.count
      let (whole, tail) = (length / size, length % size)
      let prompt = append(group.prompt, at: 0, sharing: [])
      for answer in group.answers {
        targetRows.append(prompt.firstRow + length - 1)
        guard answer.count > 1 else { continue }
        targetRows += tokens.count..<(tokens.count + answer.count - 1)
        let branch = append(answer.dropLast(), at: length, sharing: prompt.pages.prefix(whole))
        guard tail > 0 else { continue }
        written.append(
          .init(firstRow: prompt.firstRow + whole * size, rows: tail, firstPosition: whole * size, pages: branch.pages))
      }
    }
    self.groups = groups
    self.tokens = tokens
    positions = attended.flatMap { $0.firstPosition..<($0.firstPosition + $0.rows) }
    self.targetRows = targetRows
    self.pages = pages
    targets = groups.flatMap { $0.answers.joined() }
    (self.attended, self.written) = (SegmentList(attended), SegmentList(written))
  }

  /// Dropout's keys of all rows: those that each answer's tokens have behind their prompt.
  func keys(of dropout: Dropout) -> [UInt64] {
    groups.flatMap { group in
      dropout.keys(of: group.prompt)
        + group.answers.flatMap { dropout.keys(of: group.prompt + $0.dropLast()).dropFirst(group.prompt.count) }
    }
  }
}
