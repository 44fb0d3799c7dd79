/// Attention: the same bits however rows are cut and shared, and float64 twins of both directions.
import Foundation
import Tensors
import Testing

/// One layer's input for one sequence, and its pages. Nothing but NaN lies where nothing was written.
struct Sequence {
  let shape: AttentionShape
  let q: Matrix
  let k: Matrix
  let v: Matrix
  let pages: [Buffer<UInt8>]
  var length: Int { q.rows }

  init(_ shape: AttentionShape, length: Int, seed: UInt64) {
    var random = Seeded(seed)
    self.init(
      shape, q: random.matrix(length, shape.heads * shape.headDim, 2),
      k: random.matrix(length, shape.kvHeads * shape.headDim, 2),
      v: random.matrix(length, shape.kvHeads * shape.headDim))
  }

  init(_ shape: AttentionShape, q: Matrix, k: Matrix, v: Matrix) {
    self.shape = shape
    (self.q, self.k, self.v) = (q, k, v)
    pages = (0..<(q.rows + AttentionShape.pagePositions - 1) / AttentionShape.pagePositions).map { _ in
      let page = Buffer<UInt8>(count: shape.pageBytes)
      page.fill(0xff)  // NaN as a float, a half or the scale of a block
      return page
    }
  }

  var addresses: [UnsafeMutableRawPointer] { pages.map { UnsafeMutableRawPointer($0.pointer) } }

  /// Writes and attends to `range` of the rows in one call: out, then log_sum, row by row.
  func forward(_ kernels: Kernels, _ range: Range<Int>) -> (out: [Float], logSum: [Float]) {
    let segments = SegmentList([
      .init(firstRow: 0, rows: range.count, firstPosition: range.lowerBound, pages: addresses)
    ])
    let out = guarded(range.count, q.columns)
    let logSum = guarded(range.count, shape.heads)
    kernels.cacheWrite(segments, shape, k: part(k, range), v: part(v, range))
    kernels.attention(out, logSum, part(q, range), segments, shape)
    expectGuard(out, "attention")
    expectGuard(logSum, "attention")
    return (Array(out.values.dropLast(q.columns)), Array(logSum.values.dropLast(shape.heads)))
  }

  private func part(_ m: Matrix, _ range: Range<Int>) -> Matrix {
    Matrix(range.count, m.columns, range.flatMap { Array(m.row($0)) })
  }
}

func shape(
  _ heads: Int, _ kvHeads: Int, _ headDim: Int, _ kv: KVFormat = .f32, window: Int? = nil
) -> AttentionShape {
  AttentionShape(
    heads: heads, kvHeads: kvHeads, headDim: headDim, scale: 1 / Float(headDim).squareRoot(), kv: kv, window: window)
}

/// Grouped heads, odd widths, more query heads to a key head than fit one task, the widest head; in every
/// format that fits. Then windows: a row alone, less than a page, a page, and more than one.
let shapes =
  [(4, 2, 16), (3, 1, 10), (9, 3, 64), (60, 1, 8), (2, 2, 256), (1, 1, 2)].flatMap { heads, kvHeads, width in
    KVFormat.allCases.filter { $0.fits(headDim: width) }.map { shape(heads, kvHeads, width, $0) }
  } + [1, 20, 64, 70].map { shape(4, 2, 16, window: $0) }
private let lengths = [1, 5, 64, 65, 150]

@Test(arguments: Kernels.available, shapes)
func prefillEqualsDecodeEqualsChunks(table: String, shape: AttentionShape) {
  for length in lengths {
    let want = Sequence(shape, length: length, seed: 1).forward(scalar, 0..<length)
    #expect(want.out.allSatisfy(\.isFinite) && want.logSum.allSatisfy(\.isFinite))
    for threads in 1...3 {
      let got = Sequence(shape, length: length, seed: 1).forward(kernels(table, threads: threads), 0..<length)
      expectSameBits(got.out, want.out, "\(length) at once")
      expectSameBits(got.logSum, want.logSum, "\(length) at once")
    }
    for chunk in [1, 7, 60] {
      let sequence = Sequence(shape, length: length, seed: 1)
      var (out, logSum) = ([Float](), [Float]())
      for first in stride(from: 0, to: length, by: chunk) {
        let part = sequence.forward(kernels(table), first..<min(first + chunk, length))
        out += part.out
        logSum += part.logSum
      }
      expectSameBits(out, want.out, "\(length) in chunks of \(chunk)")
      expectSameBits(logSum, want.logSum, "\(length) in chunks of \(chunk)")
    }
  }
}

@Test(arguments: Kernels.available, KVFormat.allCases)
func sequencesInOneCallDoNotMeet(table: String, kv: KVFormat) {
  let shape = shape(6, 2, 32, kv)
  // The first two share their first page, as sequences with one prompt do; the call has rows at different depths.
  let alone = [(130, 100..<130), (130, 129..<130), (70, 0..<70), (1, 0..<1)].enumerated().map { i, run in
    let sequence = Sequence(shape, length: run.0, seed: i < 2 ? 5 : UInt64(i))
    _ = sequence.forward(scalar, 0..<run.0)
    return (sequence, run.1, sequence.forward(scalar, run.1))
  }
  var segments: [SegmentList.Segment] = []
  var rows: [Float] = []
  for (i, (sequence, range, _)) in alone.enumerated() {
    var pages = sequence.addresses
    if i == 1 { pages[0] = alone[0].0.addresses[0] }
    segments.append(
      .init(firstRow: rows.count / sequence.q.columns, rows: range.count, firstPosition: range.lowerBound, pages: pages)
    )
    rows += range.flatMap { Array(sequence.q.row($0)) }
  }
  let columns = shape.heads * shape.headDim
  for threads in 1...3 {
    let out = guarded(rows.count / columns, columns)
    let q = Matrix(rows.count / columns, columns, rows)
    kernels(table, threads: threads).attention(out, nil, q, SegmentList(segments), shape)
    expectGuard(out, "attention")
    expectSameBits(Array(out.values.dropLast(columns)), alone.flatMap(\.2.out), "\(threads) threads")
  }
}

// MARK: Twins

/// One query head in float64; everything the backward needs. Index [row][...].
struct TwinHead {
  var (out, logSum) = ([[Double]](), [Double]())
  var p: [[Double]] = []
  /// The largest sum of |scale q k| of any row: what a rounding of a score is relative to.
  var size = 0.0

  init(q: [[Double]], k: [[Double]], v: [[Double]], scale: Double, window: Int? = nil) {
    for i in q.indices {
      let scores = (0...i).map { j in
        i - j < window ?? .max ? zip(q[i], k[j]).map(*).reduce(0, +) * scale : -.infinity
      }
      size = max(size, (0...i).map { j in zip(q[i], k[j]).map { abs($0 * $1) }.reduce(0, +) * scale }.max()!)
      let top = scores.max()!
      logSum.append(top + log(scores.map { exp($0 - top) }.reduce(0, +)))
      p.append(scores.map { exp($0 - logSum[i]) })
      out.append(v[0].indices.map { e in (0...i).map { p[i][$0] * v[$0][e] }.reduce(0, +) })
    }
  }
}

/// Row vectors of one head of a `[T, heads · E]` matrix.
func headRows(_ m: Matrix, _ head: Int, _ shape: AttentionShape) -> [[Double]] {
  (0..<m.rows).map { t in (0..<shape.headDim).map { Double(m[t, head * shape.headDim + $0]) } }
}

/// The format changes what is attended to, and nothing else: the twin takes the rounded keys and values.
@Test(arguments: shapes)
func scalarAttentionIsCloseToFloat64(shape: AttentionShape) {
  for length in [5, 100] {
    let sequence = Sequence(shape, length: length, seed: 3)
    let got = sequence.forward(scalar, 0..<length)
    for head in 0..<shape.heads {
      let kv = head / (shape.heads / shape.kvHeads)
      let twin = TwinHead(
        q: headRows(sequence.q, head, shape), k: headRows(rounded(sequence.k, shape.kv), kv, shape),
        v: headRows(rounded(sequence.v, shape.kv), kv, shape),
        scale: Double(shape.scale), window: shape.window)
      // A score is off by E + 1 roundings of at most `size`, and by one of score - m; exp adds 2 ulp. A probability is
      // off by that twice (itself and the sum), values (at most 1) add a rounding each, then a few for pages and the end.
      let score = (Double(shape.headDim) + 3) * eps * twin.size
      let bound = 2 * score + (Double(length) + 30) * eps
      for t in 0..<length {
        let at = t * sequence.q.columns + head * shape.headDim
        expectClose(
          Array(got.out[at..<at + shape.headDim]), twin.out[t], bounds: twin.out[t].map { _ in bound }, "row \(t)")
        expectClose(
          [got.logSum[t * shape.heads + head]], [twin.logSum[t]], bounds: [bound + 2 * eps * abs(twin.logSum[t])],
          "row \(t)")
      }
    }
  }
}
