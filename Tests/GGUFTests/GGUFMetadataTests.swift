import GGUF
import Testing

struct GGUFMetadataTests {
  private let metadata: GGUFMetadata = {
    var metadata = GGUFMetadata()
    metadata.set("text", .string("x"))
    metadata.set("count", .uint16(7))
    metadata.set("zero", .int32(0))
    metadata.set("huge", .uint64(.max))
    metadata.set("half", .float32(0.5))
    metadata.set("double", .float64(0.25))
    metadata.set("yes", .bool(true))
    metadata.set("texts", .strings(["a", "b"]))
    metadata.set("bytes", .array(.uint8, [.uint8(1), .uint8(2)]))
    metadata.set("halves", .float32s([0.5, 1.5]))
    return metadata
  }()

  @Test func valuesComeAsTheirTypes() throws {
    #expect(try metadata.string("text") == "x")
    #expect(try metadata.int("zero") == 0)
    #expect(try metadata.positive("count") == 7)
    #expect(try metadata.float("half") == 0.5)
    #expect(try metadata.float("double") == 0.25)
    #expect(try metadata.bool("yes"))
    #expect(try metadata.strings("texts") == ["a", "b"])
    #expect(try metadata.ints("bytes") == [1, 2])
    #expect(try metadata.floats("halves") == [0.5, 1.5])
  }

  @Test func missingKeysAreNamed() throws {
    #expect(throws: GGUFError.missingKey("none")) { try metadata.string("none") }
    #expect(throws: GGUFError.missingKey("none")) { try metadata.positive("none") }
    #expect(throws: GGUFError.missingKey("none")) { try metadata.floats("none") }
    #expect(try metadata.optionalString("none") == nil)
    #expect(try metadata.optionalPositive("none") == nil)
    #expect(try metadata.optionalInts("none") == nil)
  }

  @Test func wrongTypesAreNamedAlsoWhenOptional() {
    #expect(throws: GGUFError.wrongType(key: "text", found: "string", wanted: "integer")) {
      try metadata.int("text")
    }
    #expect(throws: GGUFError.wrongType(key: "huge", found: "uint64", wanted: "integer")) { try metadata.int("huge") }
    #expect(throws: GGUFError.wrongType(key: "count", found: "uint16", wanted: "string")) {
      try metadata.optionalString("count")
    }
    #expect(throws: GGUFError.wrongType(key: "bytes", found: "array of uint8", wanted: "array of float")) {
      try metadata.optionalFloats("bytes")
    }
    #expect(throws: GGUFError.wrongType(key: "texts", found: "array of string", wanted: "bool")) {
      try metadata.optionalBool("texts")
    }
    #expect(throws: GGUFError.notPositive(key: "zero", value: 0)) { try metadata.positive("zero") }
  }

  @Test func settingAgainKeepsThePlace() {
    var changed = metadata
    changed.set("count", .uint32(9))
    #expect(changed.keys == metadata.keys)
    #expect(changed["count"] == .uint32(9))
  }
}
