import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

struct GGUFWriterTests {
  @Test func theBytesAreThoseOfTheFormat() throws {
    var writer = GGUFWriter()
    var handmade = Handmade()
    writer.set("general.architecture", .string("llama"))
    handmade.add("general.architecture", type: 8, text("llama"))
    writer.set("a.list", .array(.uint16, [.uint16(1), .uint16(2)]))
    handmade.add("a.list", type: 9, little(UInt32(2)) + little(UInt64(2)) + little(UInt16(1)) + little(UInt16(2)))
    writer.add(name: "a", dimensions: [3, 2], floats: [1, 2, 3, 4, 5, 6])
    writer.add(name: "b", dimensions: [2], format: .bf16, bytes: [1, 2, 3, 4])
    handmade.tensors = [.init(name: "a", dimensions: [3, 2]), .init(name: "b", dimensions: [2], type: 30, offset: 32)]
    handmade.data = (1...6).flatMap { little(Float($0).bitPattern) } + [UInt8](repeating: 0, count: 8)
    handmade.data += [1, 2, 3, 4] + [UInt8](repeating: 0, count: 28)
    let path = try temporaryFolder() + "/file.gguf"
    try writer.write(to: path)
    #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) == handmade.bytes)
  }

  @Test func everyValueSurvives() throws {
    let values: [(String, GGUFValue)] = [
      ("u8", .uint8(.max)), ("i8", .int8(.min)), ("u16", .uint16(.max)), ("i16", .int16(.min)), ("u32", .uint32(.max)),
      ("i32", .int32(.min)), ("u64", .uint64(.max)), ("i64", .int64(.min)), ("f32", .float32(.pi)),
      ("f64", .float64(.pi)), ("no", .bool(false)), ("text", .string("a\u{0}ß🙂")), ("none", .array(.string, [])),
      ("bools", .array(.bool, [.bool(true), .bool(false)])), ("texts", .strings(["", "é", "e\u{301}"])),
      ("longs", .array(.uint64, [.uint64(1 << 63)])),
    ]
    var writer = GGUFWriter()
    for (key, value) in values { writer.set(key, value) }
    let path = try temporaryFolder() + "/file.gguf"
    try writer.write(to: path)
    let file = try GGUFFile.open(path)
    #expect(file.metadata.keys == values.map(\.0))
    for (key, value) in values { #expect(file.metadata[key] == value) }
    // Swift's strings are equal when they look equal; the bytes must be the same too.
    let bytes = try file.metadata.strings("texts").map { [UInt8]($0.utf8) }
    #expect(bytes == [[], [0xc3, 0xa9], [0x65, 0xcc, 0x81]])
  }

  @Test func aWholeModelSurvives() throws {
    var model = TinyModel()
    (model.dim, model.ffn, model.isTied, model.hasRopeFactors) = (256, 512, false, true)
    let formats = [WeightFormat.f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0] + WeightFormat.kFormats
    // A hash of the name whose factors were searched so that every format occurs.
    model.format = { formats[$0.utf8.reduce(0) { ($0 * 19 + Int($1)) % 9973 } % formats.count] }
    let (once, twice) = (try temporaryFolder() + "/m.gguf", try temporaryFolder() + "/m.gguf")
    try model.write(to: once)
    try model.write(to: twice)
    #expect(FileManager.default.contentsEqual(atPath: once, andPath: twice))

    let file = try GGUFFile.open(once)
    #expect(file.tensors.count == 2 + 9 * 2 + 2)
    #expect(Set(file.tensors.compactMap(\.format)) == Set(formats + [.f32]))
    #expect(try file.metadata.positive("llama.vocab_size") == model.vocab)
    #expect(try file.metadata.strings("tokenizer.ggml.tokens") == TinyModel.byteTokens)
    let down = try file.weight("blk.1.ffn_down.weight")
    #expect(down.rows == 256 && down.columns == 512)
  }

  @Test func anErrorLeavesTheOldFileAndNoPart() throws {
    let folder = try temporaryFolder()
    let target = folder + "/taken"  // a folder that is not empty cannot be replaced by a file
    try FileManager.default.createDirectory(atPath: target + "/inside", withIntermediateDirectories: true)
    #expect(throws: GGUFError.self) { try TinyModel().write(to: target) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["taken"])
    #expect(throws: GGUFError.self) { try TinyModel().write(to: folder + "/missing/m.gguf") }
  }

  @Test func anOldFileIsReplaced() throws {
    let folder = try temporaryFolder()
    let path = folder + "/m.gguf"
    try Data("old".utf8).write(to: URL(fileURLWithPath: path))
    try TinyModel().write(to: path)
    #expect(try GGUFFile.open(path).metadata.string("general.name") == "tiny")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["m.gguf"])
  }
}
