/// What the twin's tests share: a tiny model in which every size differs, comparisons, and differences.

import ReferenceModel
import Testing

enum Tiny {
  /// Head width is not D / H, heads share keys, frequencies are divided: nothing coincides by accident.
  static let config = TwinConfig(
    dim: 12, blockCount: 2, headCount: 4, kvHeadCount: 2, headDim: 6, ffnDim: 14, vocabularySize: 11,
    ropeBase: 100, ropeFreqs: [1, 2, 3])
  static let model = TwinModel.random(config, seed: 1)
  static let adapter = TwinAdapter.random(config, rank: 2, scale: 0.7, seed: 2)
  static let tokens = [3, 1, 4, 1, 5, 9, 2]
}

/// Every pair within `absolute` + `relative` · |want|; reports the worst index and both values.
func expectClose(
  _ got: [Double], _ want: [Double], relative: Double = 0, absolute: Double = 0,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard got.count == want.count else {
    Issue.record("\(got.count) values instead of \(want.count)", sourceLocation: sourceLocation)
    return
  }
  // Not a number, on either side, counts as infinitely far.
  let distances = zip(got, want).map { $0 == $1 ? 0 : abs($0 - $1) / (absolute + relative * abs($1)) }
    .map { $0.isNaN ? .infinity : $0 }
  guard let worst = distances.indices.max(by: { distances[$0] < distances[$1] }), distances[worst] > 1 else { return }
  Issue.record("index \(worst): \(got[worst]) instead of \(want[worst])", sourceLocation: sourceLocation)
}

/// d f / d x[i] for every i, by five points: truncation is h⁴ f⁽⁵⁾ / 30, about 1e-13 with h = 1e-3, and rounding about
/// 2⁻⁵³ · |f| / h, about 1e-12 for the objectives here (|f| of some tens).
func differences(_ f: ([Double]) -> Double, at x: [Double]) -> [Double] {
  let h = 1e-3
  return x.indices.map { i in
    func moved(_ by: Double) -> Double {
      var y = x
      y[i] += by
      return f(y)
    }
    return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
  }
}

/// `adapter` with its parameters replaced.
func with(_ adapter: TwinAdapter, _ parameters: [Double]) -> TwinAdapter {
  var changed = adapter
  changed.parameters = parameters
  return changed
}
