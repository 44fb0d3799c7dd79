import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

struct GGUFFileTests {
  @Test(arguments: [2, 3] as [UInt32])
  func everyValueTypeIsRead(version: UInt32) throws {
    var handmade = Handmade.valid
    handmade.version = version
    let file = try open(handmade.bytes)
    let wanted: [(String, GGUFValue)] = [
      ("k.u8", .uint8(200)), ("k.i8", .int8(-1)), ("k.u16", .uint16(60000)), ("k.i16", .int16(-2)),
      ("k.u32", .uint32(4_000_000_000)), ("k.i32", .int32(-3)), ("k.f32", .float32(1.5)), ("k.bool", .bool(true)),
      ("k.string", .string("grüße")), ("k.strings", .strings(["a", "", "ccc"])), ("k.ints", .int32s([-1, 7])),
      ("k.u64", .uint64(.max)), ("k.i64", .int64(.min)), ("k.f64", .float64(0.1)),
    ]
    #expect(file.metadata.keys == wanted.map(\.0))
    for (key, value) in wanted { #expect(file.metadata[key] == value) }
  }

  @Test func tensorsAreViewsOfTheFile() throws {
    let file = try open(Handmade.valid.bytes)
    #expect(file.tensors.map(\.name) == ["first", "second"])
    let first = try file.weight("first")
    #expect(first.rows == 1 && first.columns == 32)
    let second = try file.weight("second")
    #expect(second.rows == 4 && second.columns == 8)
    #expect(second.format == .f32)
    #expect(second.bytes.loadUnaligned(as: Float.self) == 32)
    #expect(try file.floats("second").values == (32..<64).map(Float.init))
  }

  @Test func aViewOutlivesItsFile() throws {
    let view = try open(Handmade.valid.bytes).weight("second")
    #expect(view.bytes.loadUnaligned(fromByteOffset: 4, as: Float.self) == 33)
  }

  @Test func metadataOnlyFilesMayStopWithoutPadding() throws {
    var handmade = Handmade.valid
    handmade.tensors = []
    #expect(try open(handmade.header).tensors.isEmpty)
    handmade.data = []
    #expect(try open(handmade.bytes).tensors.isEmpty)
  }

  @Test func theLastPaddingIsOptional() throws {
    var handmade = Handmade()
    handmade.tensors = [.init(dimensions: [3])]
    handmade.data = [UInt8](repeating: 1, count: 12)
    #expect(try open(handmade.bytes).tensors.count == 1)
    handmade.data += [UInt8](repeating: 0, count: 20)
    #expect(try open(handmade.bytes).tensors.count == 1)
  }

  @Test func otherAlignmentsAreFollowed() throws {
    var handmade = Handmade()
    handmade.alignment = 64
    handmade.add("general.alignment", type: 4, little(UInt32(64)))
    handmade.tensors = [.init(name: "a", dimensions: [1]), .init(name: "b", dimensions: [1], offset: 64)]
    handmade.data = little(Float(5).bitPattern) + [UInt8](repeating: 0, count: 60) + little(Float(6).bitPattern)
    let file = try open(handmade.bytes)
    #expect(try [file.floats("a")[0], file.floats("b")[0]] == [5, 6])
  }

  @Test func aTypeThatIsNotForWeightsIsListedButNotGiven() throws {
    var handmade = Handmade()
    handmade.tensors = [.init(name: "w", dimensions: [256], type: 15)]
    handmade.data = [UInt8](repeating: 0, count: 292)
    let file = try open(handmade.bytes)
    #expect(file.tensors[0].formatName == "Q8_K")
    #expect(file.tensors[0].byteCount == 292)
    #expect(throws: GGUFError.unsupportedFormat(tensor: "w", format: "Q8_K")) { try file.weight("w") }
    #expect(throws: GGUFError.unsupportedFormat(tensor: "w", format: "Q8_K")) { try file.floats("w") }
  }

  /// ggml's type table: id, name, bytes of 256 values.
  @Test(arguments: [
    (0, "F32", 1024), (1, "F16", 512), (2, "Q4_0", 144), (3, "Q4_1", 160), (6, "Q5_0", 176), (7, "Q5_1", 192),
    (8, "Q8_0", 272), (10, "Q2_K", 84), (11, "Q3_K", 110), (12, "Q4_K", 144), (13, "Q5_K", 176), (14, "Q6_K", 210),
    (16, "IQ2_XXS", 66), (17, "IQ2_XS", 74), (18, "IQ3_XXS", 98), (19, "IQ1_S", 50), (20, "IQ4_NL", 144),
    (21, "IQ3_S", 110), (22, "IQ2_S", 82), (23, "IQ4_XS", 136), (29, "IQ1_M", 56), (30, "BF16", 512),
    (34, "TQ1_0", 54), (35, "TQ2_0", 66), (39, "MXFP4", 136), (40, "NVFP4", 144), (41, "Q1_0", 36), (42, "Q2_0", 72),
  ])
  func everyFormatOfWeightsIsGiven(id: UInt32, name: String, bytes: Int) throws {
    var handmade = Handmade()
    handmade.tensors = [.init(name: "w", dimensions: [256], type: id)]
    handmade.data = [UInt8](repeating: 0, count: bytes)
    let file = try open(handmade.bytes)
    #expect(file.tensors[0].formatName == name)
    #expect(try file.weight("w").bytes.count == bytes)
    #expect(try file.floats("w").count == 256)
  }

  @Test func wrongWishesAreNamed() throws {
    var handmade = Handmade.valid
    handmade.tensors[1].dimensions = [2, 4, 4]
    let file = try open(handmade.bytes)
    #expect(throws: GGUFError.missingTensor("x")) { try file.weight("x") }
    #expect(throws: GGUFError.missingTensor("x")) { try file.floats("x") }
    #expect(throws: GGUFError.notMatrix(tensor: "second", dimensions: [2, 4, 4])) { try file.weight("second") }
    #expect(try file.floats("second").count == 32)
  }

  @Test func pathsThatAreNoFilesAreNamed() throws {
    let folder = try temporaryFolder()
    #expect(throws: GGUFError.file(.notFound(folder + "/none"))) { try GGUFFile.open(folder + "/none") }
    #expect(throws: GGUFError.file(.notAFile(folder))) { try GGUFFile.open(folder) }
  }

  private func open(_ bytes: [UInt8]) throws -> GGUFFile {
    let path = try temporaryFolder() + "/file.gguf"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try GGUFFile.open(path)
  }
}
