import Foundation
import Tensors
import Testing

private func path() -> String {
  FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())").path
}

@Test func foldersAreMadeWithTheirParents() throws {
  let folder = path()
  try FileSystem.createFolder(folder + "/a/b/c/")
  try FileSystem.createFolder(folder + "/a/b")
  #expect(FileSystem.exists(folder + "/a/b/c"))
}

@Test func aFileInTheWayIsNamedWithTheReason() throws {
  let file = path()
  try AtomicFile.write([1], to: file)
  #expect(throws: FileError.refused(action: "create", path: file, code: EEXIST)) { try FileSystem.createFolder(file) }
  let below = file + "/below"
  #expect(throws: FileError.refused(action: "create", path: below, code: ENOTDIR)) {
    try FileSystem.createFolder(below)
  }
  #expect("\(FileError.refused(action: "create", path: file, code: EEXIST))".contains("(File exists)"))
}

@Test func removingTwiceIsFine() throws {
  let file = path()
  try AtomicFile.write([1], to: file)
  try FileSystem.remove(file)
  try FileSystem.remove(file)
  #expect(!FileSystem.exists(file))
}

@Test func anAppendFileGoesOnWhereItIsTold() throws {
  let file = path()
  #expect(throws: FileError.notFound(file)) { try AppendFile(file, position: 3) }
  try AppendFile(file).append(Array("one\ntwo\nthr".utf8))
  let again = try AppendFile(file, position: 8)
  try again.append(Array("three\n".utf8))
  #expect(again.position == 14)
  #expect(String(decoding: try AtomicFile.read(file), as: UTF8.self) == "one\ntwo\nthree\n")
}

@Test func aMemoryLimitIsANumber() {
  #expect(MemoryLimit.limit(memoryMax: "17179869184\n") == 16 << 30)
  #expect(MemoryLimit.limit(memoryMax: "max\n") == nil)
  #expect(MemoryLimit.limit(memoryMax: "") == nil)
  #expect((1...Int(clamping: ProcessInfo.processInfo.physicalMemory)).contains(MemoryLimit.automatic))
}
