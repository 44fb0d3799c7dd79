/// The products against the definition, at widths around the eight running sums.

import ReferenceModel
import Testing

@Suite struct TensorTests {
  @Test(arguments: [1, 7, 8, 9, 24, 31]) func productsFollowTheDefinition(width: Int) {
    var random = TwinRandom(seed: UInt64(width))
    let (x, w) = (random.tensor(3, width, bound: 1), random.tensor(5, width, bound: 1))
    let y = x.timesTransposed(w)
    var back = TwinTensor(zeros: 3, width)
    back.addProduct(y, w, scale: 2)
    var outer = w
    outer.addTransposedProduct(y, x, scale: -1)
    // Sums of at most 31 terms below 31 in another order.
    for t in 0..<3 {
      for o in 0..<5 {
        expectClose([y[t, o]], [(0..<width).reduce(0) { $0 + x[t, $1] * w[o, $1] }], absolute: 1e-13)
      }
      for i in 0..<width {
        expectClose([back[t, i]], [(0..<5).reduce(0) { $0 + 2 * y[t, $1] * w[$1, i] }], absolute: 1e-13)
      }
    }
    for o in 0..<5 {
      for i in 0..<width {
        expectClose([outer[o, i]], [w[o, i] - (0..<3).reduce(0) { $0 + y[$1, o] * x[$1, i] }], absolute: 1e-13)
      }
    }
  }
}
