/// Gradients of attention: the twin against differences, the kernels against the twin and against each other.
import Foundation
import Tensors
import Testing

/// Gradients in float64 of sum d_out · attention, for one query head, from ds = p (dp - d_out · out).
private struct TwinGradients {
  var dq: [[Double]]
  var dk: [[Double]]
  var dv: [[Double]]

  /// With `magnitudes` every term counts by its magnitude: what roundings are relative to.
  init(_ head: TwinHead, dOut: [[Double]], q: [[Double]], k: [[Double]], v: [[Double]], scale: Double, magnitudes: Bool)
  {
    func size(_ x: Double) -> Double { magnitudes ? abs(x) : x }
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map { size($0 * $1) }.reduce(0, +) }
    (dq, dk, dv) = (q.map { $0.map { _ in 0 } }, k.map { $0.map { _ in 0 } }, v.map { $0.map { _ in 0 } })
    for i in q.indices {
      let delta = dot(dOut[i], head.out[i])
      for j in 0...i {
        let dp = dot(dOut[i], v[j])
        let ds = head.p[i][j] * (magnitudes ? dp + delta : dp - delta) * scale
        for e in q[i].indices {
          dq[i][e] += size(ds * k[j][e])
          dk[j][e] += size(ds * q[i][e])
          dv[j][e] += size(head.p[i][j] * dOut[i][e])
        }
      }
    }
  }
}

@Test func twinAttentionBackwardMatchesDifferences() {
  var random = Seeded(8)
  let (length, width, scale) = (4, 3, 0.6)
  func rows(_ flat: [Double]) -> [[Double]] { (0..<length).map { Array(flat[$0 * width..<($0 + 1) * width]) } }
  let all = random.floats(3 * length * width).map(Double.init)
  let dOut = rows(random.floats(length * width).map(Double.init))
  func parts(_ x: [Double]) -> [[[Double]]] {
    (0..<3).map { rows(Array(x[$0 * length * width..<($0 + 1) * length * width])) }
  }
  let want = differences(all) { x in
    let p = parts(x)
    let out = TwinHead(q: p[0], k: p[1], v: p[2], scale: scale).out
    return zip(out, dOut).map { zip($0, $1).map(*).reduce(0, +) }.reduce(0, +)
  }
  let p = parts(all)
  let twin = TwinGradients(
    TwinHead(q: p[0], k: p[1], v: p[2], scale: scale), dOut: dOut, q: p[0], k: p[1], v: p[2], scale: scale,
    magnitudes: false)
  for (got, want) in zip((twin.dq + twin.dk + twin.dv).flatMap { $0 }, want) { #expect(abs(got - want) < 1e-8) }
}

/// What both directions make of sequences and groups in one call.
private struct Results {
  let (out, logSum, dq, dk, dv): (Matrix, Matrix, Matrix, Matrix, Matrix)
  var gradients: [Matrix] { [dq, dk, dv] }

  /// - Parameter written: what goes into the cache, `segments` if nil.
  init(
    _ kernels: Kernels, _ shape: AttentionShape, _ segments: [SegmentList.Segment],
    written: [SegmentList.Segment]? = nil, q: [Float], k: [Float], v: [Float], dOut: Matrix
  ) {
    let (rows, wide, narrow) = (dOut.rows, shape.heads * shape.headDim, shape.kvHeads * shape.headDim)
    let (q, k, v) = (Matrix(rows, wide, q), Matrix(rows, narrow, k), Matrix(rows, narrow, v))
    let list = SegmentList(segments)
    (out, logSum) = (Matrix(rows, wide), Matrix(rows, shape.heads))
    kernels.cacheWrite(SegmentList(written ?? segments), shape, k: k, v: v)
    kernels.attention(out, logSum, q, list, shape)
    let gradients = [guarded(rows, wide), guarded(rows, narrow), guarded(rows, narrow)]
    kernels.attentionBackward(
      dq: gradients[0], dk: gradients[1], dv: gradients[2], dOut, out, logSum, q, list, shape)
    for g in gradients { expectGuard(g, "attentionBackward") }
    let whole = gradients.map { Matrix(rows, $0.columns, Array($0.values.dropLast($0.columns))) }
    (dq, dk, dv) = (whole[0], whole[1], whole[2])
  }
}

/// dq, dk, dv of sequences that lie one after the other.
private func backward(_ k: Kernels, _ sequences: [Sequence], dOut: Matrix) -> [Matrix] {
  var first = 0
  let segments = sequences.map { s in
    defer { first += s.length }
    return SegmentList.Segment(firstRow: first, rows: s.length, firstPosition: 0, pages: s.addresses)
  }
  return Results(
    k, sequences[0].shape, segments, q: sequences.flatMap(\.q.values), k: sequences.flatMap(\.k.values),
    v: sequences.flatMap(\.v.values), dOut: dOut
  ).gradients
}

@Test(arguments: Kernels.available, shapes)
func attentionBackwardEqualsScalar(table: String, shape: AttentionShape) {
  for lengths in [[1], [5, 64], [150, 3, 65]] {
    let sequences = lengths.enumerated().map { Sequence(shape, length: $1, seed: UInt64($0 + 1)) }
    var random = Seeded(9)
    let dOut = random.matrix(lengths.reduce(0, +), shape.heads * shape.headDim)
    let want = backward(scalar, sequences, dOut: dOut)
    for threads in 1...3 {
      let got = backward(kernels(table, threads: threads), sequences, dOut: dOut)
      for i in 0..<3 { expectSameBits(got[i].values, want[i].values, "\(lengths), \(threads) threads, gradient \(i)") }
    }
  }
}

@Test(arguments: shapes)
func scalarAttentionBackwardIsCloseToFloat64(shape: AttentionShape) {
  let (length, group) = (100, shape.heads / shape.kvHeads)
  let sequence = Sequence(shape, length: length, seed: 4)
  var random = Seeded(10)
  let dOut = random.matrix(length, shape.heads * shape.headDim)
  let got = backward(scalar, [sequence], dOut: dOut)
  for kv in 0..<shape.kvHeads {
    let (k, v) = (
      headRows(rounded(sequence.k, shape.kv), kv, shape), headRows(rounded(sequence.v, shape.kv), kv, shape)
    )
    var (dk, dv) = (
      [Double](repeating: 0, count: length * shape.headDim), [Double](repeating: 0, count: length * shape.headDim)
    )
    var (dkBound, dvBound) = (dk, dv)
    for head in kv * group..<(kv + 1) * group {
      let (q, d) = (headRows(sequence.q, head, shape), headRows(dOut, head, shape))
      let twin = TwinHead(q: q, k: k, v: v, scale: Double(shape.scale), window: shape.window)
      let exact = TwinGradients(twin, dOut: d, q: q, k: k, v: v, scale: Double(shape.scale), magnitudes: false)
      let size = TwinGradients(twin, dOut: d, q: q, k: k, v: v, scale: Double(shape.scale), magnitudes: true)
      // p is off by the score and log_sum (see the forward) and by exp, `out` and so delta likewise; dot products add E
      // roundings, sums over positions and heads one for each term. The magnitudes of |v| <= 1 stand for those of out,
      // which are smaller where values cancel: hence |d_out| · 1 in place of delta.
      let relative =
        4 * (Double(shape.headDim) + 3) * eps * twin.size
        + (3 * Double(length) + Double(group * length) + Double(shape.headDim) + 60) * eps
      let delta = d.map { $0.map(abs).reduce(0, +) }.max()!
      func bounds(_ m: [[Double]], _ extra: Double) -> [Double] { m.flatMap { $0.map { ($0 + extra) * relative } } }
      let reach = delta * Double(shape.scale) * 2
      expectClose(
        headRows(got[0], head, shape).flatMap { $0.map { Float($0) } }, exact.dq.flatMap { $0 },
        bounds: bounds(size.dq, reach), "dq of head \(head)")
      for (i, value) in exact.dk.flatMap({ $0 }).enumerated() { dk[i] += value }
      for (i, value) in exact.dv.flatMap({ $0 }).enumerated() { dv[i] += value }
      // Each row of q (at most 2) reaches dk of one position with a probability; their sum over rows bounds the extra.
      let column = (0..<length).map { j in (j..<length).map { twin.p[$0][j] }.reduce(0, +) }
      for (i, value) in bounds(size.dk, 0).enumerated() {
        dkBound[i] += value + reach * column[i / shape.headDim] * relative
      }
      for (i, value) in bounds(size.dv, 0).enumerated() { dvBound[i] += value }
    }
    expectClose(headRows(got[1], kv, shape).flatMap { $0.map { Float($0) } }, dk, bounds: dkBound, "dk of head \(kv)")
    expectClose(headRows(got[2], kv, shape).flatMap { $0.map { Float($0) } }, dv, bounds: dvBound, "dv of head \(kv)")
  }
}

// MARK: Groups

/// A prompt, and answers that go on where it ends.
private struct Group {
  let prompt: Sequence
  /// Each answer behind a prompt of its own.
  let alone: [Sequence]
  var rows: Int { alone.reduce(prompt.length) { $0 + $1.length - prompt.length } }

  init(_ shape: AttentionShape, prompt length: Int, answers: [Int], seed: UInt64) {
    let prompt = Sequence(shape, length: length, seed: seed)
    func join(_ a: Matrix, _ b: Matrix) -> Matrix { Matrix(a.rows + b.rows, a.columns, a.values + b.values) }
    self.prompt = prompt
    alone = answers.enumerated().map { i, count in
      let own = Sequence(shape, length: count, seed: seed + 1 + UInt64(i))
      return Sequence(shape, q: join(prompt.q, own.q), k: join(prompt.k, own.k), v: join(prompt.v, own.v))
    }
  }

  /// The prompt's rows, then each answer's own.
  func rows(_ part: KeyPath<Sequence, Matrix>) -> [Float] {
    alone.reduce(prompt[keyPath: part].values) {
      $0 + $1[keyPath: part].values.dropFirst(prompt[keyPath: part].count)
    }
  }

  /// Where they lie when the first is `row`. The prompt's whole pages are shared, the rest of it is written again for each answer.
  func segments(from row: Int) -> (attended: [SegmentList.Segment], written: [SegmentList.Segment]) {
    let (length, whole) = (prompt.length, prompt.length / AttentionShape.pagePositions)
    let copied = whole * AttentionShape.pagePositions
    var attended = [SegmentList.Segment(firstRow: row, rows: length, firstPosition: 0, pages: prompt.addresses)]
    var copies: [SegmentList.Segment] = []
    for answer in alone {
      let pages = Array(prompt.addresses.prefix(whole) + answer.addresses.dropFirst(whole))
      let first = attended.reduce(row) { $0 + $1.rows }
      attended.append(.init(firstRow: first, rows: answer.length - length, firstPosition: length, pages: pages))
      copies.append(.init(firstRow: row + copied, rows: length - copied, firstPosition: copied, pages: pages))
    }
    return (attended, attended + copies)
  }

  static func run(_ kernels: Kernels, _ groups: [Group], dOut: Matrix) -> Results {
    var row = 0
    let segments = groups.map { group in
      defer { row += group.rows }
      return group.segments(from: row)
    }
    return Results(
      kernels, groups[0].prompt.shape, segments.flatMap(\.attended), written: segments.flatMap(\.written),
      q: groups.flatMap { $0.rows(\.q) }, k: groups.flatMap { $0.rows(\.k) }, v: groups.flatMap { $0.rows(\.v) },
      dOut: dOut)
  }
}

/// A prompt shorter than a page, one of a whole page, more than one, and more than two; answers within a page and beyond.
private func groups(_ shape: AttentionShape) -> [Group] {
  [(5, [3, 70]), (64, [1, 64]), (65, [20]), (140, [2, 150, 30])].enumerated().map {
    Group(shape, prompt: $1.0, answers: $1.1, seed: UInt64(10 * $0 + 1))
  }
}

@Test(arguments: Kernels.available, shapes)
func groupsEqualScalar(table: String, shape: AttentionShape) {
  var random = Seeded(9)
  let dOut = random.matrix(groups(shape).reduce(0) { $0 + $1.rows }, shape.heads * shape.headDim)
  let want = Group.run(scalar, groups(shape), dOut: dOut)
  for threads in 1...3 {
    let got = Group.run(kernels(table, threads: threads), groups(shape), dOut: dOut)
    for (i, (got, want)) in zip(got.gradients, want.gradients).enumerated() {
      expectSameBits(got.values, want.values, "\(threads) threads, gradient \(i)")
    }
  }
}

/// A group gives what its answers give alone: the same bits forward, in dq, and in the gradients of an answer's own keys and
/// values. Those of the prompt are the sums over the answers, whose terms are the same but summed in another order.
@Test(arguments: shapes)
func aGroupIsTheSumOfItsAnswersAlone(shape: AttentionShape) {
  for group in groups(shape) {
    var random = Seeded(9)
    let (wide, length) = (shape.heads * shape.headDim, group.prompt.length)
    let dOut = random.matrix(group.rows, wide)
    let got = Group.run(scalar, [group], dOut: dOut)
    var first = length
    var sums = [got.dk, got.dv].map { [Double](repeating: 0, count: length * $0.columns) }
    var sizes = sums
    for (index, answer) in group.alone.enumerated() {
      let own = answer.length - length
      // The prompt's rows have gradients of their own: those count once, with the first answer.
      let head = index == 0 ? Array(dOut.values.prefix(length * wide)) : [Float](repeating: 0, count: length * wide)
      let tail = dOut.values[(first * wide)..<((first + own) * wide)]
      let alone = Results(
        scalar, shape, [.init(firstRow: 0, rows: answer.length, firstPosition: 0, pages: answer.addresses)],
        q: answer.q.values, k: answer.k.values, v: answer.v.values, dOut: Matrix(answer.length, wide, head + tail))
      func compare(_ got: Matrix, _ want: Matrix, prompt: Bool, _ what: String) {
        let columns = got.columns
        expectSameBits(
          Array(got.values[(first * columns)..<((first + own) * columns)]), Array(want.values[(length * columns)...]),
          "\(what) of answer \(index) to \(length)")
        guard prompt else { return }
        expectSameBits(
          Array(got.values.prefix(length * columns)), Array(want.values.prefix(length * columns)),
          "\(what) of the prompt of \(length)")
      }
      compare(got.out, alone.out, prompt: true, "out")
      compare(got.logSum, alone.logSum, prompt: true, "log_sum")
      compare(got.dq, alone.dq, prompt: index == 0, "dq")
      compare(got.dk, alone.dk, prompt: false, "dk")
      compare(got.dv, alone.dv, prompt: false, "dv")
      let magnitudes = termSizes(answer, dOut: Matrix(answer.length, wide, head + tail))
      for (i, matrix) in [alone.dk, alone.dv].enumerated() {
        for j in sums[i].indices {
          sums[i][j] += Double(matrix.pointer[j])
          sizes[i][j] += magnitudes[i][j]
        }
      }
      first += own
    }
    // N terms in any order are within N roundings of the sum of their magnitudes from their exact sum; here both ways are.
    let terms = Double(group.rows * shape.heads / shape.kvHeads + group.alone.count)
    for (i, matrix) in [got.dk, got.dv].enumerated() {
      expectClose(
        Array(matrix.values.prefix(length * matrix.columns)), sums[i], bounds: sizes[i].map { 2 * terms * eps * $0 },
        "gradient \(i) of the prompt of \(length)")
    }
  }
}

/// Sums of the magnitudes of the terms of dk and dv, `[T, K·E]` each.
private func termSizes(_ sequence: Sequence, dOut: Matrix) -> [[Double]] {
  let (shape, width) = (sequence.shape, sequence.shape.headDim)
  var sizes = [[Double]](repeating: [Double](repeating: 0, count: sequence.k.count), count: 2)
  for head in 0..<shape.heads {
    let kv = head / (shape.heads / shape.kvHeads)
    let (q, d) = (headRows(sequence.q, head, shape), headRows(dOut, head, shape))
    let k = headRows(rounded(sequence.k, shape.kv), kv, shape)
    let v = headRows(rounded(sequence.v, shape.kv), kv, shape)
    let scale = Double(shape.scale)
    let twin = TwinHead(q: q, k: k, v: v, scale: scale, window: shape.window)
    let size = TwinGradients(twin, dOut: d, q: q, k: k, v: v, scale: scale, magnitudes: true)
    for (part, rows) in [size.dk, size.dv].enumerated() {
      for (t, row) in rows.enumerated() {
        for (e, value) in row.enumerated() { sizes[part][(t * shape.kvHeads + kv) * width + e] += value }
      }
    }
  }
  return sizes
}
