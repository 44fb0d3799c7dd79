import Adapters
import Foundation
import Tensors
import TestSupport
import Testing

/// Files that must be refused, each with its own sentence. The reader is reached as a user reaches it: through a folder.
struct SafetensorsTests {
  private let folder: HandmadeFolder
  private var file: String { folder.path + "/adapter_model.safetensors" }

  init() throws {
    folder = try HandmadeFolder()
    try folder.json("adapter_config.json", ["peft_type": "LORA", "r": 1, "lora_alpha": 1])
  }

  private func expect(_ error: SafetensorsError, _ location: SourceLocation = #_sourceLocation) {
    #expect(throws: error, sourceLocation: location) { try LoRAAdapter.read(folder.path, for: Small.base()) }
  }

  private func expect(
    _ error: SafetensorsError, header: String, data: Int = 0, _ location: SourceLocation = #_sourceLocation
  ) throws {
    try folder.file(
      "adapter_model.safetensors",
      HandmadeFolder.safetensors(header: header, data: [UInt8](repeating: 0, count: data)))
    expect(error, location)
  }

  private static func entry(_ name: String, _ shape: String, _ offsets: String, type: String = "F32") -> String {
    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
  }

  @Test func lengthsThatCannotBe() throws {
    for bytes in [[], [1], [8, 0, 0, 0, 0, 0, 0]] as [[UInt8]] {
      try folder.file("adapter_model.safetensors", bytes)
      expect(.headerLength(path: file, length: 0, limit: 0))
    }
    for length: UInt64 in [0, 3, .max, 1 << 63, 1 << 40] {
      let bytes: [UInt8] = withUnsafeBytes(of: length.littleEndian) { Array($0) }
      try folder.file("adapter_model.safetensors", bytes + Array("{}".utf8))
      expect(.headerLength(path: file, length: length, limit: 2))
    }
  }

  @Test func headersThatAreNone() throws {
    let deep = String(repeating: "[", count: 100_000)
    for header in [
      "[]", " {}", "{", "{}x", "nothing", "{\"a\":1}", "{\"a\":\(deep)", "{\"__metadata__\":{\"a\":1}}",
      "{" + Self.entry("a", "[1,1.5]", "[0,4]") + "}", "{" + Self.entry("a", "[1e30]", "[0,4]") + "}",
      #"{"a":{"dtype":"F32","shape":[1]}}"#,
    ] {
      try expect(.header(path: file), header: header, data: 4)
    }
  }

  @Test func shapesAndOffsetsThatDoNotAgree() throws {
    func refuse(_ error: SafetensorsError, _ entries: String..., data: Int = 8) throws {
      try expect(error, header: "{\(entries.joined(separator: ","))}", data: data)
    }
    try refuse(.shape(path: file, tensor: "a", shape: [-1, -2]), Self.entry("a", "[-1,-2]", "[0,8]"))
    let huge: [Int] = [1 << 62, 1 << 62]
    try refuse(.shape(path: file, tensor: "a", shape: huge), Self.entry("a", "\(huge)", "[0,8]"))
    try refuse(.type(path: file, tensor: "a", type: "F12"), Self.entry("a", "[1,2]", "[0,8]", type: "F12"))
    try refuse(.length(path: file, tensor: "a", needs: 4, has: 8), Self.entry("a", "[1]", "[0,8]"))
    for (offsets, ends) in [("[0,12]", 12), ("[8,0]", 0), ("[-8,0]", 0), ("[0]", 0), ("[0,4,8]", 8)] {
      try refuse(.trailing(path: file, ends: ends, has: 8), Self.entry("a", "[2]", offsets))
    }
    // Overlap, hole, a hole at the start, and what nobody claims at the end.
    let a = Self.entry("a", "[1]", "[0,4]")
    try refuse(
      .offsets(path: file, tensor: "b", start: 2, expected: 4), a, Self.entry("b", "[3]", "[2,8]", type: "F16"))
    try refuse(.offsets(path: file, tensor: "b", start: 0, expected: 4), a, Self.entry("b", "[2]", "[0,8]"))
    try refuse(
      .offsets(path: file, tensor: "b", start: 6, expected: 4), a, Self.entry("b", "[1]", "[6,8]", type: "F16"))
    try refuse(.offsets(path: file, tensor: "b", start: 4, expected: 0), Self.entry("b", "[1]", "[4,8]"))
    try refuse(.trailing(path: file, ends: 4, has: 8), a)
    try refuse(.trailing(path: file, ends: 0, has: 8))
  }

  /// A file cut anywhere has an error, never a result.
  @Test func everyCutIsNoticed() throws {
    try folder.safetensors("adapter_model.safetensors", PEFTReaderTests.onePair())
    _ = try LoRAAdapter.read(folder.path, for: Small.base())
    let whole = try Data(contentsOf: URL(fileURLWithPath: file))
    for count in 0..<whole.count {
      try folder.file("adapter_model.safetensors", whole.prefix(count))
      #expect(throws: SafetensorsError.self) { try LoRAAdapter.read(folder.path, for: Small.base()) }
    }
  }

  @Test func picklesAreRefusedByName() throws {
    try folder.file("adapter_model.bin", [0x50, 0x4B, 0x03, 0x04] + [UInt8](repeating: 0, count: 60))
    expect(.pickled(path: folder.path + "/adapter_model.bin"))
    #expect(throws: SafetensorsError.pickled(path: folder.path + "/adapter_model.bin")) {
      try LoRAAdapter.read(folder.path + "/adapter_model.bin", for: Small.base())
    }
    for start in [[0x50, 0x4B, 0x03, 0x04], [0x80, 0x02, 0x63, 0x6F], [0x80, 0x04, 0x95, 0x01]] as [[UInt8]] {
      try folder.file("adapter_model.safetensors", start + [UInt8](repeating: 7, count: 60))
      expect(.pickled(path: file))
    }
  }

  @Test func shardsAreRead() throws {
    let (a, b) = (PEFTReaderTests.onePair()[0], PEFTReaderTests.onePair()[1])
    try folder.safetensors("adapter_model-00001-of-00002.safetensors", [a])
    try folder.safetensors("adapter_model-00002-of-00002.safetensors", [b])
    try index([
      a.name: "adapter_model-00001-of-00002.safetensors", b.name: "adapter_model-00002-of-00002.safetensors",
    ])
    let adapter = try LoRAAdapter.read(folder.path, for: Small.base())
    #expect(adapter.modules.map(\.a.values) == [a.matrix.values])
    #expect(adapter.modules.map(\.b.values) == [b.matrix.values])
  }

  @Test func theIndexIsNotTrusted() throws {
    let pair = PEFTReaderTests.onePair()
    let shard = try folder.safetensors("one.safetensors", pair)
    let path = file + ".index.json"
    try FileManager.default.createDirectory(atPath: folder.path + "/deeper", withIntermediateDirectories: false)
    try FileManager.default.copyItem(atPath: shard, toPath: folder.path + "/deeper/one.safetensors")
    for name in [
      "../one.safetensors", "deeper/one.safetensors", shard, "..", "", ".one.safetensors", "a\\b.safetensors",
      "one.safetensors\0", "one.bin",
    ] {
      try index([pair[0].name: name, pair[1].name: "one.safetensors"])
      expect(.shardName(path: path, name: name))
    }
    try index([pair[0].name: "one.safetensors"])
    expect(.unlisted(path: shard, tensor: pair[1].name))
    try index([pair[0].name: "one.safetensors", pair[1].name: "one.safetensors", "x": "one.safetensors"])
    expect(.missing(path: shard, tensor: "x"))
    try index([pair[0].name: "two.safetensors", pair[1].name: "one.safetensors"])
    expect(.unlisted(path: shard, tensor: pair[0].name))
    try folder.json("adapter_model.safetensors.index.json", ["weight_map": ["a": 1]])
    expect(.index(path: path))
    try folder.safetensors("adapter_model.safetensors", pair)
    expect(.both(file: file, index: path))
  }

  private func index(_ places: [String: String]) throws {
    try folder.json("adapter_model.safetensors.index.json", ["weight_map": places])
  }
}
