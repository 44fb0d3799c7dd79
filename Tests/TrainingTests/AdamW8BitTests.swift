/// Moments in bytes: what rounding may do to a step, and that it does not add up.

import Foundation
import Tensors
import TestSupport
import Testing
import Training

@Suite struct AdamW8BitTests {
  private let counts = [700, 30]
  private let rate = 0.01

  private func gradients(_ step: UInt64) -> [Buffer<Float>] {
    // From 1 down to 1e-4, as the rows of one adapter have.
    counts.map { count in
      let normals = Seeded(step).normals(count, deviation: 1)
      return Buffer(normals.enumerated().map { $1 * pow(10, -Float($0 % 5)) })
    }
  }

  @Test func theFirstStepIsAdamWs() {
    let (a, b) = (counts.map { Buffer<Float>(count: $0) }, counts.map { Buffer<Float>(count: $0) })
    AdamW(counts: counts).update(a, gradients: gradients(1), learningRate: rate)
    AdamW8Bit(counts: counts).update(b, gradients: gradients(1), learningRate: rate)
    #expect(a.map(\.values) == b.map(\.values))
  }

  /// The second step uses moments off by at most one gap between codes: 1/127² · (2c + 1) of the block's largest first moment,
  /// ((c + 1)⁴ − c⁴) / 255⁴ of its largest second one, c the code below. AdamW's rule rises with m and falls with v, so the step
  /// lies between its values at the corners; parameters are below 1 and wrong by a few 2⁻²⁴.
  @Test func theSecondStepIsWithinOneGapOfTheCodes() {
    let (a, b) = (counts.map { Buffer<Float>(count: $0) }, counts.map { Buffer<Float>(count: $0) })
    let (float, bytes) = (AdamW(counts: counts), AdamW8Bit(counts: counts))
    let (one, two) = (gradients(1), gradients(2))
    float.update(a, gradients: one, learningRate: rate)
    bytes.update(b, gradients: one, learningRate: rate)
    let (m, v) = (float.firstMoments.values.map(Double.init), float.secondMoments.values.map(Double.init))
    bytes.update(b, gradients: two, learningRate: rate)

    var (start, different) = (0, 0)
    for buffer in counts.indices {
      for i in 0..<counts[buffer] {
        let block = (start + i / 256 * 256)..<(start + min(i / 256 * 256 + 256, counts[buffer]))
        let (mTop, vTop) = (m[block].map(abs).max() ?? 0, v[block].max() ?? 0)
        let (mi, vi, g) = (m[start + i], v[start + i], Double(two[buffer][i]))
        let c = (127 * (abs(mi) / mTop).squareRoot()).rounded(.down)
        let d = (255 * pow(vi / vTop, 0.25)).rounded(.down)
        let (mGap, vGap) = (mTop * (2 * c + 1) / (127 * 127), vTop * (pow(d + 1, 4) - pow(d, 4)) / pow(255, 4))
        let corners = [mi - mGap, mi + mGap].flatMap { m in
          [max(vi - vGap, 0), vi + vGap].map { v in
            let (m2, v2) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g)
            return Double(a[buffer][i]) - rate * (m2 / 0.19) / ((v2 / (1 - 0.999 * 0.999)).squareRoot() + 1e-8)
          }
        }
        let got = Double(b[buffer][i])
        #expect(got >= (corners.min() ?? 0) - 0x1p-22 && got <= (corners.max() ?? 0) + 0x1p-22, "value \(i)")
      }
      start += counts[buffer]
    }
    float.update(a, gradients: two, learningRate: rate)
    for (x, y) in zip(a, b) { different += zip(x.values, y.values).count { $0 != $1 } }
    #expect(different > 500, "the moments were rounded")
  }

  /// One value of a block has a gradient 100 times the others' in the first step, none later. The others' second moments then
  /// change by less than a tenth a step against a scale that shrinks: rounded to nearest, they would stop at a hundredth of
  /// what they should become and the steps be several times too long. Rounded by chance they are right in the mean: each step
  /// is off by at most a gap, 16 % of a moment there, and the mean over 1000 steps of 255 values by far less than 2 %.
  @Test func roundingDoesNotAddUp() {
    let (a, b) = (Buffer<Float>(count: 256), Buffer<Float>(count: 256))
    let (float, bytes) = (AdamW(counts: [256]), AdamW8Bit(counts: [256]))
    for step in 0..<1000 {
      let gradient = Buffer<Float>(count: 256)
      gradient.fill(0.01)
      gradient[0] = step == 0 ? 1 : 0
      float.update([a], gradients: [gradient], learningRate: 1e-3)
      bytes.update([b], gradients: [gradient], learningRate: 1e-3)
    }
    let (want, got) = (a.values[1...].reduce(0, +), b.values[1...].reduce(0, +))
    #expect(want < -200, "each of 255 values moves by nearly the rate in each of 1000 steps")
    expectClose(got / want, Float(1), absolute: 0.02)
  }

  /// ½ Σ h (x − t)², curvatures h from 1e-3 to 10. The rates add up to 10, ten times the longest way, and end at nothing.
  @Test func findsTheMinimumOfAQuadratic() {
    let count = 600
    let aim = Seeded(3).floats(count)
    let x = Buffer<Float>(count: count)
    let optimizer = AdamW8Bit(counts: [count])
    for step in 0..<1000 {
      let gradient = Buffer((0..<count).map { pow(10, -3 + Float($0 % 5)) * (x[$0] - aim[$0]) })
      optimizer.update([x], gradients: [gradient], learningRate: 0.02 * (1 - Double(step) / 1000))
    }
    // The last steps are below 1e-3 of the first, and a step is about its rate: what is left is the noise of some of them.
    expectClose(x.values, aim.map(Double.init), absolute: 0.01)
  }
}
