import Foundation

/// A new empty folder. All of them are removed when the test process ends.
public func temporaryFolder() throws -> String {
  let folder = allTemporaryFolders.appendingPathComponent(UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  return folder.path
}

private let allTemporaryFolders: URL = {
  atexit { try? FileManager.default.removeItem(at: allTemporaryFolders) }
  return FileManager.default.temporaryDirectory.appendingPathComponent("parley-tests-\(getpid())")
}()
