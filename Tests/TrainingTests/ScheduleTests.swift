import Foundation
import Tensors
import Testing
import Training

private func rates(_ schedule: Schedule, _ total: Int) -> [Double] {
  (0..<total).map { schedule.rate(at: $0, of: total) }
}

private func close(_ got: [Double], _ want: [Double]) -> Bool {
  got.count == want.count && zip(got, want).allSatisfy { abs($0 - $1) < 1e-15 }
}

@Test func shapesWithoutWarmUp() {
  #expect(rates(Schedule(.constant, peak: 2), 3) == [2, 2, 2])
  #expect(close(rates(Schedule(.linear, peak: 1), 4), [1, 0.75, 0.5, 0.25]))
  let root = 0.5.squareRoot()
  #expect(close(rates(Schedule(.cosine, peak: 2), 4), [2, 1 + root, 1, 1 - root]))
}

@Test func warmUpRisesToThePeak() {
  #expect(close(rates(Schedule(.constant, peak: 1, warmUp: .steps(3)), 5), [0.25, 0.5, 0.75, 1, 1]))
  #expect(close(rates(Schedule(.linear, peak: 1, warmUp: .steps(2)), 6), [1 / 3.0, 2 / 3.0, 1, 0.75, 0.5, 0.25]))
  // 3 % of 50 is 1.5, rounded up to 2.
  #expect(Schedule.WarmUp.ratio(0.03).steps(of: 50) == 2)
  #expect(Schedule.WarmUp.ratio(0).steps(of: 50) == 0)
  #expect(close(rates(Schedule(.cosine, peak: 1, warmUp: .ratio(0.25)), 4), [0.5, 1, 0.75, 0.25]))
  // Warm-up longer than the run never reaches the peak, and stays defined.
  #expect(close(rates(Schedule(.cosine, peak: 1, warmUp: .steps(9)), 3), [0.25, 0.5, 0.75]))
}

@Test func lengthOfAllGradients() {
  let gradients = [Buffer<Float>([3, 0]), Buffer<Float>([-4]), Buffer<Float>(count: 0)]
  #expect(GradientNorm.of(gradients) == 5)
  #expect(GradientNorm.clip(gradients, to: 5) == 5)
  #expect(GradientNorm.clip(gradients, to: nil) == 5)
  #expect(gradients.flatMap(\.values) == [3, 0, -4])
  #expect(GradientNorm.clip(gradients, to: 2.5) == 5)
  #expect(gradients.flatMap(\.values) == [1.5, 0, -2])
  // Squares beyond float's range still have a finite length.
  #expect(GradientNorm.of([Buffer([3e30, 4e30])]).isFinite)
}

@Test(arguments: [Float.nan, .infinity])
func brokenGradientsAreReportedAndLeftAlone(value: Float) {
  let gradients = [Buffer<Float>([3, value, -4])]
  #expect(!GradientNorm.clip(gradients, to: 1).isFinite)
  #expect(gradients[0][0] == 3 && gradients[0][2] == -4)
}
