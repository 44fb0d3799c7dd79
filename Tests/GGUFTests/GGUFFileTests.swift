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

  @Test func aLiveTypeWeLackIsListedButNotGiven() throws {
    var handmade = Handmade()
    handmade.tensors = [.init(name: "w", dimensions: [256], type: 23)]
    handmade.data = [UInt8](repeating: 0, count: 136)
    let file = try open(handmade.bytes)
    #expect(file.tensors[0].formatName == "IQ4_XS")
    #expect(file.tensors[0].byteCount == 136)
    #expect(throws: GGUFError.unsupportedFormat(tensor: "w", format: "IQ4_XS")) { try file.weight("w") }
    #expect(throws: GGUFError.unsupportedFormat(tensor: "w", format: "IQ4_XS")) { try file.floats("w") }
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
