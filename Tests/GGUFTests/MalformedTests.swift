import Foundation
import GGUF
import TestSupport
import Testing

/// Every file here is wrong in one way, and the error must say which. (A huge allocation would end the test process.)
struct MalformedTests {
  // MARK: Header

  @Test func aFileCutAnywhereIsRefused() throws {
    let whole = Handmade.valid.bytes
    #expect(fact(of: whole) == nil)
    for length in 0..<whole.count {
      switch fact(of: Array(whole[..<length])) {
      case .truncated, .tooMany: continue
      case let other: Issue.record("cut to \(length) bytes: \(String(describing: other))")
      }
    }
  }

  @Test func aChangedByteGivesAnErrorOrASoundFile() throws {
    let whole = Handmade.valid
    let path = try temporaryFolder() + "/file.gguf"
    for index in whole.header.indices {
      for change: UInt8 in [0x01, 0x80, 0xff] {
        var bytes = whole.bytes
        bytes[index] ^= change
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          let file = try GGUFFile.open(path)
          for tensor in file.tensors {
            #expect(tensor.offset + tensor.byteCount <= whole.data.count)
            if tensor.format != nil { #expect(try file.floats(tensor.name).count == tensor.elementCount) }
          }
        } catch {
          guard case .inFile(path, _) = error else {
            Issue.record("byte \(index) changed by \(change): \(error)")
            continue
          }
        }
      }
    }
  }

  @Test func otherFilesAreRefused() {
    #expect(fact(of: Array("GGU".utf8)).map(isTruncated) == true)
    #expect(fact(of: Array("GG!".utf8)) == .notGGUF)
    #expect(fact { $0.magic = Array("GGML".utf8) } == .notGGUF)
    #expect(fact { $0.version = 0 } == .version(0))
    #expect(fact { $0.version = 1 } == .version(1))
    #expect(fact { $0.version = 4 } == .version(4))
    #expect(fact { $0.version = 0x0300_0000 } == .bigEndian)
    #expect(fact { $0.version = 0x0200_0000 } == .bigEndian)
  }

  @Test(arguments: [.max, 1 << 63, 1 << 32, 1000] as [UInt64])
  func countsBeyondTheFileAreRefused(count: UInt64) {
    var empty = Handmade()
    empty.tensorCount = count
    #expect(fact(of: empty.header) == .tooMany("The tensor list", count: count, bytesLeft: 8))
    empty.tensorCount = 0
    empty.pairCount = count
    #expect(fact(of: empty.header) == .tooMany("The metadata", count: count, bytesLeft: 0))
  }

  // MARK: Pairs

  @Test func badKeysAreRefused() {
    #expect(fact { $0.add("", type: 0, [1]) } == .emptyName("Key 14"))
    #expect(fact { $0.add("k.u8", type: 0, [1]) } == .duplicate("Key", name: "k.u8"))
    #expect(fact { $0.pairs.append(little(UInt64.max)) } == .nameTooLong("Key 14", bytes: .max, limit: 65535))
    let long = String(repeating: "k", count: 65536)
    #expect(fact { $0.add(long, type: 0, [1]) } == .nameTooLong("Key 14", bytes: 65536, limit: 65535))
    #expect(fact { $0.add(String(long.dropLast()), type: 0, [1]) } == nil)
    #expect(fact { $0.pairs.append(little(UInt64(2)) + [0xc3, 0x28] + little(UInt32(0)) + [1]) } == .notUTF8("Key 14"))
  }

  @Test func badValuesAreRefused() {
    #expect(fact { $0.add("k", type: 13, [1]) } == .valueType(key: "k", id: 13))
    #expect(fact { $0.add("k", type: 255, [1]) } == .valueType(key: "k", id: 255))
    #expect(fact { $0.add("k", type: 7, [2]) } == .boolByte(key: "k", 2))
    // F0 9F 98 is repaired to one character of three bytes: the length alone would not show it.
    for bad: [UInt8] in [[0xff], [0xf0, 0x9f, 0x98], [0xed, 0xa0, 0x80], [0xc0, 0x80]] {
      #expect(fact { $0.add("k", type: 8, little(UInt64(bad.count)) + bad) } == .notUTF8("the value of key 'k'"))
    }
  }

  @Test func sizesBeyondTheFileAreRefused() throws {
    for length in [1000, 1 << 32, 1 << 63, .max] as [UInt64] {
      var last = Handmade()
      last.add("k", type: 8, little(length) + [65])
      #expect(fact(of: last.header) == .truncated("the value of key 'k'", needs: length, has: 1))
    }
    // 2⁶³ items; a size that wraps 64 bits; many strings that cannot all be there.
    for (type, count) in [(0, 1 << 63), (4, 1 << 62 + 1), (12, 1 << 61), (8, 1 << 40), (8, 2)] as [(UInt32, UInt64)] {
      var last = Handmade()
      last.add("k", type: 9, little(type) + little(count) + text(""))
      #expect(fact(of: last.header) == .tooMany("The array of key 'k'", count: count, bytesLeft: 8))
    }
  }

  @Test func badArraysAreRefused() {
    #expect(fact { $0.add("k", type: 9, little(UInt32(13)) + little(UInt64(0))) } == .valueType(key: "k", id: 13))
    // One level is refused, so a hundred thousand cannot exhaust the stack.
    let deep = [[UInt8]](repeating: little(UInt32(9)) + little(UInt64(1)), count: 100_000).flatMap { $0 }
    #expect(fact { $0.add("k", type: 9, deep) } == .nestedArray(key: "k"))
    let bools = little(UInt32(7)) + little(UInt64(2)) + [1, 3]
    #expect(fact { $0.add("k", type: 9, bools) } == .boolByte(key: "k", 3))
  }

  @Test(arguments: [0, 4, 13, 48, 1 << 31 + 1] as [UInt32])
  func badAlignmentsAreRefused(alignment: UInt32) {
    #expect(fact { $0.add("general.alignment", type: 4, little(alignment)) } == .alignment("\(alignment)"))
  }

  @Test func alignmentOfAnotherTypeOrOfOtherTensorsIsRefused() {
    #expect(fact { $0.add("general.alignment", type: 5, little(Int32(32))) } == .alignment("of type int32"))
    var handmade = Handmade.valid
    handmade.alignment = 256
    handmade.add("general.alignment", type: 4, little(UInt32(256)))
    #expect(fact(of: handmade.bytes) == .unaligned(tensor: "second", offset: 128, alignment: 256))
    // 2³¹ is allowed by the rule; then the data would start far behind the end.
    #expect(fact { $0.add("general.alignment", type: 4, little(UInt32(1 << 31))) }.map(isTruncated) == false)
    var first = Handmade()
    first.add("general.alignment", type: 4, little(UInt32(1 << 31)))
    first.tensors = [.init()]
    #expect(fact(of: first.header).map(isTruncated) == true)
  }

  // MARK: Tensor infos

  @Test func badTensorNamesAreRefused() {
    let long = String(repeating: "t", count: 65)
    #expect(fact { $0.tensors[1].name = long } == .nameTooLong("Tensor 1", bytes: 65, limit: 64))
    #expect(fact { $0.tensors[1].name = "" } == .emptyName("Tensor 1"))
    #expect(fact { $0.tensors[1].name = "first" } == .duplicate("Tensor", name: "first"))
  }

  @Test(arguments: [0, 5, 1_000_000, .max] as [UInt32])
  func badDimensionCountsAreRefused(count: UInt32) {
    #expect(fact { $0.tensors[0].dimensionCount = count } == .dimensionCount(tensor: "first", count))
  }

  @Test(
    arguments: [
      [-32], [0], [32, 0], [32, -1], [1 << 32, 1 << 31], [.max, 2], [1 << 42 + 1, 1 << 42], [.min, 2],
      [1 << 61 + 1], [1 << 16, 1 << 16, 1 << 16, 1 << 16],
    ] as [[Int64]])
  func badDimensionsAreRefused(sizes: [Int64]) {
    #expect(fact { $0.tensors[0].dimensions = sizes } == .dimensions(tensor: "first", sizes))
  }

  @Test func typesWithoutBlocksAreRefused() throws {
    for (id, word) in [
      (.max, "unknown"), (43, "unknown"), (4, "Q4_2"), (5, "Q4_3"), (31, "Q4_0_4_4"), (36, "I2_S of ik_llama.cpp"),
      (38, "IQ4_NL_8_8"), (97, "ik_llama.cpp"), (158, "ik_llama.cpp"), (202, "ik_llama.cpp"), (399, "ik_llama.cpp"),
    ] as [(UInt32, String)] {
      guard case .tensorType("first", id, let origin) = try #require(fact { $0.tensors[0].type = id }) else {
        Issue.record("type \(id) is not refused as such")
        continue
      }
      #expect(origin.contains(word))
    }
    #expect(
      fact { $0.tensors[0] = .init(dimensions: [33], type: 8) } == .partialBlock(tensor: "t", columns: 33, block: 32))
    #expect(
      fact { $0.tensors[0] = .init(dimensions: [128, 2], type: 12) }
        == .partialBlock(tensor: "t", columns: 128, block: 256))
  }

  // MARK: Data

  @Test func badOffsetsAreRefused() {
    #expect(
      fact { $0.tensors[1].offset = 129 } == .unaligned(tensor: "second", offset: 129, alignment: 32))
    #expect(fact { $0.tensors[1].offset = 96 } == .overlap(tensor: "second", offset: 96, expected: 128))
    #expect(fact { $0.tensors[1].offset = 0 } == .overlap(tensor: "second", offset: 0, expected: 128))
    #expect(fact { $0.tensors[1].offset = 160 } == .hole(tensor: "second", offset: 160, expected: 128))
    let far = UInt64.max - 31
    #expect(fact { $0.tensors[1].offset = far } == .hole(tensor: "second", offset: .max, expected: 128))
  }

  @Test func sizesThatWrapTogetherAreRefused() {
    let half = Int64.max - 63  // I8, so as many bytes
    let file = fact {
      $0.tensors = [.init(name: "a", dimensions: [half], type: 24), .init(name: "b", dimensions: [half], type: 24)]
      $0.tensors[1].offset = UInt64(half)
    }
    #expect(file == .truncated("tensor 'a'", needs: UInt64(half), has: 256))
  }

  @Test func cutDataIsRefused() {
    #expect(fact { $0.data.removeLast() } == .truncated("tensor 'second'", needs: 128, has: 127))
    #expect(fact { $0.data.removeLast(128) } == .truncated("tensor 'second'", needs: 128, has: 0))
    #expect(fact { $0.data.removeLast(200) } == .truncated("tensor 'first'", needs: 128, has: 56))
  }

  @Test func bytesThatBelongToNothingAreRefused() throws {
    var handmade = Handmade.valid
    try #require(!handmade.header.count.isMultiple(of: 32))
    handmade.padding = 1
    #expect(fact(of: handmade.bytes) == .padding(at: handmade.header.count))
    #expect(fact { $0.data += [0] } == .trailing(bytes: 1))
    #expect(fact { $0.data += [UInt8](repeating: 7, count: 5000) } == .trailing(bytes: 5000))
    let between = fact {
      $0.tensors = [.init(name: "a", dimensions: [3]), .init(name: "b", dimensions: [1], offset: 32)]
      $0.data = [UInt8](repeating: 1, count: 36)
    }
    #expect(between.map { if case .padding = $0 { true } else { false } } == true)
    #expect(fact { $0.tensors = [] } == .trailing(bytes: 256))
  }

  @Test func theErrorNamesTheFileAndSaysWhatToDo() throws {
    let path = try temporaryFolder() + "/cut.gguf"
    try Data(Handmade.valid.bytes.dropLast()).write(to: URL(fileURLWithPath: path))
    let error = try #require(throws: GGUFError.self) { try GGUFFile.open(path) }
    #expect(
      "\(error)"
        == "\(path): The file ends inside tensor 'second', which needs 128 bytes where 127 are left. The download "
        + "is probably incomplete: compare its SHA-256 with the publisher's.")
  }

  // MARK: Helpers

  /// What is wrong with the valid file after `change`; nil when it opens.
  private func fact(_ change: (inout Handmade) -> Void) -> GGUFError? {
    var handmade = Handmade.valid
    change(&handmade)
    return fact(of: handmade.bytes)
  }

  private func fact(of bytes: [UInt8]) -> GGUFError? {
    do {
      let path = try temporaryFolder() + "/file.gguf"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      _ = try GGUFFile.open(path)
      return nil
    } catch let error as GGUFError {
      return error.fact
    } catch {
      Issue.record("\(error)")
      return nil
    }
  }

  private func isTruncated(_ error: GGUFError) -> Bool { if case .truncated = error { true } else { false } }
}
