/// The records of a long run: each is appended to PATH.part as it is done, and the file gets its name with the last. What the
/// records were made with lies beside it in PATH.part.json, so that only the same work goes on.

import Foundation
import Generation
import Tensors
import Tokenization

final class ResumableFile {
  private let path: String
  private var part: String { path + ".part" }
  private var marks: String { part + ".json" }
  private var count = 0

  /// Makes sure that the file can be written, and that what is there can be gone on with.
  ///
  /// - Parameter settings: fingerprints by what they are of. Asked for when the path is known to be good.
  init(_ path: String, resume: Bool, settings: () throws -> [String: String]) throws {
    self.path = path
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      throw FileError.notAFile(path)
    }
    if resume && !FileSystem.exists(part) && FileSystem.exists(path) {
      throw Failure(
        .usage, "There is nothing to resume: '\(path)' is whole. Leave --resume out to make it again.")
    }
    if resume && FileSystem.exists(part) {
      try compare(settings())
    } else {
      try FileSystem.remove(part)
      _ = try AppendFile(part)
      try AtomicFile.write(JSONLines.line(settings()), to: marks)
    }
  }

  private func compare(_ settings: [String: String]) throws {
    guard FileSystem.exists(marks),
      let old = try? JSONDecoder().decode([String: String].self, from: Data(AtomicFile.read(marks)))
    else {
      throw Failure(
        .badData,
        "'\(part)' cannot be gone on with: '\(marks)', which says what made it, is not there or damaged. Leave --resume out "
          + "to start over.")
    }
    let changed = Set(old.keys).union(settings.keys).filter { old[$0] != settings[$0] }.sorted()
    guard changed.isEmpty else {
      throw Failure(
        .usage,
        "'\(part)' was made with another \(changed.joined(separator: ", another ")). Give the same, or leave --resume out to "
          + "start over.")
    }
  }

  /// Writes what is missing: `body` gets how many of `prompts` are answered already, and puts the other records.
  ///
  /// - Throws: `Failure` for a record that answers another prompt, or when interrupted; what `body` throws.
  func write(
    answersTo prompts: [PromptSampler.Prepared], samples: Int,
    _ body: (Int, (ResponseRecord) throws -> Void) throws -> Void
  ) throws {
    let journal = try RecordJournal(part) { place, record in
      guard place < prompts.count, record.promptIDs == prompts[place].request.prompt, record.responses.count == samples
      else {
        throw Failure(
          .usage,
          "Record \(place + 1) of '\(part)' answers another prompt than the one that stands there now. Restore the prompts, "
            + "or leave --resume out to start over.")
      }
      return true
    }
    count = journal.kept
    do {
      try body(count) {
        try journal.append($0)
        count += 1
      }
      try journal.finish(as: path)
      try FileSystem.remove(marks)
    } catch is CancellationError {
      throw interrupted()
    } catch {
      if count == 0 { try? discard() } else { note(kept) }
      throw error
    }
  }

  /// Takes the files away when nothing is in them.
  func discard() throws {
    try FileSystem.remove(part)
    try FileSystem.remove(marks)
  }

  private var kept: String {
    "The \(count) records done so far are in '\(part)': go on with the same command and --resume."
  }

  private func interrupted() -> Failure {
    guard count > 0 else {
      try? discard()
      return Failure(
        .interrupted, "Interrupted before the first record was done. Run the same command again to start over.")
    }
    return Failure(.interrupted, "Interrupted. \(kept)")
  }
}
