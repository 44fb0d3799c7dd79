/// The rounding of inputs to blocks of integers.

import ReferenceModel
import Testing

@Suite struct RoundingTests {
  @Test(arguments: [32767.0, 127]) func roundsBlocksOf32ByTheirLargestValue(largest: Double) {
    var random = TwinRandom(seed: 9)
    var x = random.tensor(2, 64, bound: 3)
    for i in 32..<64 { x[0, i] = 0 }
    x[1, 5] = -100
    let rounded = roundedToIntegers(x, largest: largest)
    for t in 0..<2 {
      for start in [0, 32] {
        let amax = x.row(t).dropFirst(start).prefix(32).map(abs).max() ?? 0
        for i in start..<start + 32 {
          // Half a step, and an ulp for the products.
          #expect(abs(rounded[t, i] - x[t, i]) <= amax / largest / 2 * (1 + 1e-9))
        }
      }
    }
    #expect(rounded != x)
    #expect(rounded.row(0).dropFirst(32).allSatisfy { $0 == 0 })
    #expect(abs(rounded[1, 5] + 100) < 1e-13)
  }

  @Test func tiesGoToEven() {
    var x = TwinTensor(zeros: 1, 32)
    for (i, value) in [32767, 0.5, 1.5, -2.5, 7.25].enumerated() { x[0, i] = value }
    #expect(roundedToIntegers(x, largest: 32767).row(0).prefix(5) == [32767, 0, 2, -2, 7])
  }

  @Test func onlyNamedWeightsSeeRoundedInputs() {
    let config = TwinConfig(dim: 32, blockCount: 1, headCount: 4, kvHeadCount: 2, ffnDim: 64, vocabularySize: 9)
    var model = TwinModel.random(config, seed: 10)
    let exact = model.forward(Tiny.tokens.map { $0 % 9 })
    model.roundedInputs = [TwinLinear.ffnDown.name(0), TwinName.output]
    let rounded = model.forward(Tiny.tokens.map { $0 % 9 })
    #expect(rounded.blocks[0].act == exact.blocks[0].act)
    let w = model.weight(TwinLinear.ffnDown.name(0))
    #expect(rounded.blocks[0].ffnOut == roundedToIntegers(exact.blocks[0].act, largest: 32767).timesTransposed(w))
    #expect(rounded.blocks[0].ffnOut != exact.blocks[0].ffnOut)
    #expect(
      rounded.logits
        == roundedToIntegers(rounded.outputNorm, largest: 32767).timesTransposed(model.weight(TwinName.output)))
  }
}
