import GGUF
import Tensors
import TestSupport
import Testing

/// The encoders of test files against the dequantiser: what a tiny model stores is what it was given, to the format's
/// precision.
struct QuantiseTests {
  /// The largest error for values in ±1, from the encoders' formulas: half a step, or a whole one where the last value
  /// of the range is cut off, and the rounding of the F16 scale (2⁻¹¹ relative).
  private static let bounds: [(WeightFormat, Double)] = [
    (.f32, 0), (.f16, 0x1p-12), (.bf16, 0x1p-9), (.q8_0, 0.5 / 127 + 0x1p-11), (.q4_0, 0.5 / 7 + 0x1p-11),
    (.q4_1, 0.5 * 2 / 15 + 3 * 0x1p-11), (.q5_0, 0.5 / 15 + 0x1p-11), (.q5_1, 0.5 * 2 / 31 + 3 * 0x1p-11),
  ]

  @Test(arguments: bounds)
  func encodedValuesComeBack(format: WeightFormat, bound: Double) throws {
    let values = Seeded(3).floats(32 * 20)
    var writer = GGUFWriter()
    writer.add(name: "w", dimensions: [32, 20], format: format, bytes: format.encoded(values))
    let path = try temporaryFolder() + "/w.gguf"
    try writer.write(to: path)
    expectClose(try GGUFFile.open(path).floats("w").values, values, absolute: bound, format.name)
  }

  @Test(arguments: WeightFormat.kFormats)
  func randomBlocksHaveAboutTheDeviation(format: WeightFormat) throws {
    var writer = GGUFWriter()
    let bytes = format.randomBlocks(values: 256 * 40, deviation: 0.05, Seeded(4))
    writer.add(name: "w", dimensions: [256, 40], format: format, bytes: bytes)
    let path = try temporaryFolder() + "/w.gguf"
    try writer.write(to: path)
    let values = try GGUFFile.open(path).floats("w").values
    let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
    // "About": within a third. The blocks' own draw moves it by a few per cent only.
    #expect((0.033...0.075).contains(deviation))
  }
}
