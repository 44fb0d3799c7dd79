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

/// dq, dk, dv of sequences that lie one after the other.
private func backward(_ k: Kernels, _ sequences: [Sequence], dOut: Matrix) -> [Matrix] {
  let shape = sequences[0].shape
  let rows = sequences.map(\.length).reduce(0, +)
  let q = Matrix(rows, shape.heads * shape.headDim, sequences.flatMap(\.q.values))
  let keys = Matrix(rows, shape.kvHeads * shape.headDim, sequences.flatMap(\.k.values))
  let values = Matrix(rows, shape.kvHeads * shape.headDim, sequences.flatMap(\.v.values))
  var first = 0
  let segments = SegmentList(
    sequences.map { s in
      defer { first += s.length }
      return .init(firstRow: first, rows: s.length, firstPosition: 0, pages: s.addresses)
    })
  let (out, logSum) = (Matrix(rows, q.columns), Matrix(rows, shape.heads))
  k.cacheWrite(segments, shape, k: keys, v: values)
  k.attention(out, logSum, q, segments, shape)
  let gradients = [guarded(rows, q.columns), guarded(rows, keys.columns), guarded(rows, values.columns)]
  k.attentionBackward(
    dq: gradients[0], dk: gradients[1], dv: gradients[2], dOut, out, logSum, q, segments, shape)
  for g in gradients { expectGuard(g, "attentionBackward") }
  return gradients.map { Matrix(rows, $0.columns, Array($0.values.dropLast($0.columns))) }
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
      let twin = TwinHead(q: q, k: k, v: v, scale: Double(shape.scale))
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
