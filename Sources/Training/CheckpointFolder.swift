/// The checkpoints of a run: `step-000120.ckpt` is the state after 120 batches. The newest few are kept.
///
/// No second file says which of them is the newest. A checkpoint gets its name when all its bytes are on the disk, so a kill
/// leaves no half of one under it; the number in the name is its age; its checksum finds what a disk did to it later. A marker
/// beside them would be a second truth, written after the first, and wrong when a kill comes in between.

import Tensors

public struct CheckpointFolder: Sendable {
  public let path: String
  /// How many stay.
  private let keep: Int

  /// - Precondition: at least one is kept.
  public init(_ path: String, keep: Int) {
    precondition(keep > 0, "a run needs a checkpoint to go on from, not \(keep)")
    self.path = path
    self.keep = keep
  }

  public func file(step: Int) -> String {
    let digits = "\(step)"
    return path + "/step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".ckpt"
  }

  /// Writes the checkpoint after `step` batches, whole or not at all; only then older ones go. So do those of later steps:
  /// the run went back behind them because they are damaged.
  public func write(_ checkpoint: Checkpoint, step: Int) throws {
    try FileSystem.createFolder(path)
    try checkpoint.write(to: file(step: step))
    let steps = try steps()
    for old in steps.drop(while: { $0 > step }).dropFirst(keep) + steps.prefix(while: { $0 > step }) {
      try FileSystem.remove(file(step: old))
    }
  }

  /// The newest checkpoint that is whole, nil when there is none at all.
  ///
  /// - Parameter onDamaged: a sentence about each newer one that cannot be used.
  /// - Throws: the fault of the newest one when none is whole.
  public func newest(onDamaged: (String) -> Void) throws -> (path: String, checkpoint: Checkpoint)? {
    try removeParts()
    var faults: [(path: String, error: any Error)] = []
    for step in try steps() {
      let path = file(step: step)
      do {
        let checkpoint = try Checkpoint.read(path)
        for fault in faults { onDamaged("Checkpoint '\(fault.path)' is damaged: the run goes on from '\(path)'.") }
        return (path, checkpoint)
      } catch {
        faults.append((path, error))
      }
    }
    if let newest = faults.first { throw newest.error }
    return nil
  }

  /// Removes all of them, for a run that begins anew.
  public func clear() throws(FileError) {
    try removeParts()
    for step in try steps() { try FileSystem.remove(file(step: step)) }
  }

  /// The latest first.
  public func steps() throws(FileError) -> [Int] {
    let names = try FileSystem.names(in: path).filter { $0.hasPrefix("step-") && $0.hasSuffix(".ckpt") }
    return names.compactMap { Int($0.dropFirst("step-".count).dropLast(".ckpt".count)) }.sorted(by: >)
  }

  /// A killed program leaves the one it was writing, and the next may write at other steps.
  private func removeParts() throws(FileError) {
    for name in try FileSystem.names(in: path) where name.hasSuffix(".part") {
      try FileSystem.remove(path + "/" + name)
    }
  }
}
