/// Models in several files, and files beyond four GiB.

import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

struct SplitFileTests {
  /// Three parts of one model: metadata alone, one tensor, two tensors.
  private static let parts: [Handmade] = (0..<3).map { number in
    var part = Handmade()
    if number == 0 { part.add("general.name", type: 8, text("whole")) }
    part.add("split.no", type: 2, little(UInt16(number)))
    part.add("split.count", type: 2, little(UInt16(3)))
    part.add("split.tensors.count", type: 5, little(Int32(3)))
    let names = [[], ["a"], ["b", "c"]][number]
    part.tensors = names.enumerated().map { .init(name: $1, offset: UInt64(128 * $0)) }
    part.data = (0..<(32 * names.count)).flatMap { little(Float(100 * number + $0).bitPattern) }
    return part
  }

  private func path(_ folder: String, _ number: Int) -> String { folder + "/model-0000\(number)-of-00003.gguf" }

  /// A folder with the parts, the numbers of those that are missing given.
  private func folder(_ parts: [Handmade] = parts, without missing: Set<Int> = []) throws -> String {
    let folder = try temporaryFolder()
    for (index, part) in parts.enumerated() where !missing.contains(index + 1) {
      try Data(part.bytes).write(to: URL(fileURLWithPath: path(folder, index + 1)))
    }
    return folder
  }

  /// The error of opening part `number`, with the part it is about.
  private func fault(_ parts: [Handmade], given number: Int = 1) throws -> (part: Int?, fact: GGUFError)? {
    let folder = try folder(parts)
    do {
      _ = try GGUFFile.open(path(folder, number))
      return nil
    } catch {
      guard case .inFile(let file, let fact) = error else { return (nil, error) }
      return ((1...3).first { path(folder, $0) == file }, fact)
    }
  }

  @Test(arguments: 1...3) func anyPartFindsTheOthers(given number: Int) throws {
    let folder = try folder()
    let file = try GGUFFile.open(path(folder, number))
    #expect(file.path == path(folder, number))
    #expect(file.paths == (1...3).map { path(folder, $0) })
    #expect(file.metadata["general.name"] == .string("whole"))
    #expect(file.tensors.map(\.name) == ["a", "b", "c"])
    #expect(try file.floats("a").values == (100..<132).map(Float.init))
    #expect(try file.floats("c").values == (232..<264).map(Float.init))
    let b = try GGUFFile.open(path(folder, number)).weight("b")  // outlives its file
    #expect(b.bytes.loadUnaligned(fromByteOffset: 8, as: Float.self) == 202)
  }

  @Test func aMissingPartIsNamed() throws {
    for (missing, given) in [(1, 2), (2, 1), (3, 1), (2, 3)] {
      let folder = try folder(without: [missing])
      #expect(throws: GGUFError.missingPart(path: path(folder, missing), number: missing, of: 3)) {
        try GGUFFile.open(path(folder, given))
      }
    }
  }

  @Test func partsThatDoNotBelongTogetherAreNamed() throws {
    func changed(_ index: Int, _ change: (inout Handmade) -> Void) -> [Handmade] {
      var parts = Self.parts
      change(&parts[index])
      return parts
    }
    func expect(_ want: GGUFError, of part: Int, _ parts: [Handmade]) throws {
      let found = try #require(try fault(parts))
      #expect(found.part == part && found.fact == want, "\(found)")
    }
    try expect(.partNumber(found: 3, expected: 2), of: 2, [Self.parts[0], Self.parts[2], Self.parts[1]])
    try expect(
      .partCount(found: 4, expected: 3), of: 3, changed(2) { $0.pairs[1] = text("split.count") + pair(UInt16(4)) })
    try expect(
      .splitTensors(found: 3, declared: 5), of: 2,
      changed(1) { $0.pairs[2] = text("split.tensors.count") + little(UInt32(5)) + little(Int32(5)) })
    try expect(
      .foreignPart(key: "general.name"), of: 2, changed(1) { $0.add("general.name", type: 8, text("another")) })
    try expect(.missingKey("split.no"), of: 2, changed(1) { $0.pairs.remove(at: 0) })
    #expect(try fault(changed(1) { $0.add("general.name", type: 8, text("whole")) }) == nil)
  }

  @Test func aTensorInTwoPartsIsNamed() throws {
    var parts = Self.parts
    parts[2].tensors[1].name = "a"
    let folder = try folder(parts)
    let want = GGUFError.tensorInTwoParts(tensor: "a", other: path(folder, 2))
    #expect(throws: GGUFError.inFile(path: path(folder, 3), want)) { try GGUFFile.open(path(folder, 1)) }
  }

  @Test func damagedPartsAreNamed() throws {
    let folder = try folder()
    try Data("none".utf8).write(to: URL(fileURLWithPath: path(folder, 2)))
    #expect(throws: GGUFError.inFile(path: path(folder, 2), .notGGUF)) { try GGUFFile.open(path(folder, 1)) }
  }

  @Test(arguments: [
    "model.gguf", "model-00001-of-00004.gguf", "model-00000-of-00003.gguf", "model-00004-of-00003.gguf",
    "model-0001-of-0003.gguf", "model-00001-of-00003.bin", "model-+0001-of-00003.gguf", "-of-00003.gguf",
  ])
  func aNameThatDoesNotSayWhichPart(name: String) throws {
    let path = try temporaryFolder() + "/" + name
    try Data(Self.parts[0].bytes).write(to: URL(fileURLWithPath: path))
    #expect(throws: GGUFError.inFile(path: path, .splitName(parts: 3))) { try GGUFFile.open(path) }
  }

  @Test func countsThatMakeNoSense() throws {
    func file(count: UInt16, name: String = "m.gguf") throws -> String {
      var handmade = Handmade.valid
      handmade.add("split.count", type: 2, little(count))
      let path = try temporaryFolder() + "/" + name
      try Data(handmade.bytes).write(to: URL(fileURLWithPath: path))
      return path
    }
    let none = try file(count: 0)
    #expect(throws: GGUFError.inFile(path: none, .splitCount(0))) { try GGUFFile.open(none) }
    #expect(try GGUFFile.open(file(count: 1)).tensors.count == 2)
    let many = try file(count: 65535)
    #expect(throws: GGUFError.inFile(path: many, .splitName(parts: 65535))) { try GGUFFile.open(many) }
    let first = try file(count: 65535, name: "m-00001-of-65535.gguf")
    #expect(throws: GGUFError.inFile(path: first, .missingKey("split.no"))) { try GGUFFile.open(first) }
  }

  /// The file is a hole but for its ends, so it takes no space.
  @Test func beyondFourGiB() throws {
    let size = (1 << 32) + 64
    var handmade = Handmade()
    handmade.tensors = [
      .init(name: "big", dimensions: [Int64(size)], type: 24), .init(name: "last", offset: UInt64(size)),
    ]
    let path = try temporaryFolder() + "/big.gguf"
    let start = handmade.bytes
    try Data(start).write(to: URL(fileURLWithPath: path))
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try handle.seek(toOffset: UInt64(start.count + size))
    try handle.write(contentsOf: Data((0..<32).flatMap { little(Float($0).bitPattern) }))
    try handle.close()
    let file = try GGUFFile.open(path)
    #expect(file.tensor("big")?.byteCount == size && file.tensor("last")?.offset == size)
    #expect(try file.floats("last").values == (0..<32).map(Float.init))
  }
}

/// Type and value of a 16-bit key.
private func pair(_ value: UInt16) -> [UInt8] { little(UInt32(2)) + little(value) }
