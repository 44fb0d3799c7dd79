/// Dequantised values against the `gguf` package, and the facts of the format list.
import Foundation
import Tensors
import Testing

private struct Fixture: Decodable {
  struct Entry: Decodable {
    let blocks: Data
    let values: Data
  }
  let formats: [String: Entry]

  static func load() throws -> Fixture {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: tests.appendingPathComponent("Fixtures/dequantize.json"))
    return try JSONDecoder().decode(Fixture.self, from: data)
  }
}

@Test(arguments: WeightFormat.allCases)
func dequantizeEqualsTheReferencePackage(format: WeightFormat) throws {
  let entry = try #require(Fixture.load().formats[format.name])
  let want = entry.values.withUnsafeBytes { raw in
    (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
  }
  #expect(entry.blocks.count / format.bytesPerBlock * format.valuesPerBlock == want.count)
  let blocks = Buffer<UInt8>(Array(entry.blocks))
  let out = guarded(1, want.count)
  dequantize(out.pointer, from: blocks.pointer, format: format, count: want.count)
  expectSameBits(Array(out.row(0)), want, "\(format)")
  expectGuard(out, "\(format)")
}

@Test func formatsAreFoundByTheirTypeID() {
  for format in WeightFormat.allCases { #expect(WeightFormat(typeID: format.typeID) == format) }
  #expect(WeightFormat(typeID: 4) == nil)
}

@Test func bytesOfARowAreBounded() {
  #expect(WeightFormat.q4_K.bytes(for: 512) == 288)
  #expect(WeightFormat.q4_K.bytes(for: 100) == nil)
  #expect(WeightFormat.q8_0.bytes(for: -32) == nil)
  #expect(WeightFormat.f32.bytes(for: Int.max) == nil)
}
