/// JSON lines in and out for commands: records that remember their lines, and results to stdout or to a file.

import Foundation
import Tensors
import Tokenization

/// The records of a file and where each stands in it. What is wrong with a line ends the work, or with `--skip-bad` the line is
/// left out and remembered.
struct RecordFile<Record: Decodable> {
  let path: String
  let records: [Record]
  private let lines: [Int]
  /// The lines that are left out so far.
  private(set) var skipped: [SkippedLine]

  /// - Parameter skippingBad: lines that are no records are left out instead of thrown for.
  /// - Throws: `Failure` for a file without records: whoever names a file expects something from it.
  init(_ path: String, skippingBad: Bool = false) throws {
    var records: [Record] = []
    var lines: [Int] = []
    var skipped: [SkippedLine] = []
    for (number, line) in JSONLines.filledLines(Data(try AtomicFile.read(path))) {
      let parsed = Result { () throws(RecordError) in
        try JSONLines.parse(Record.self, line, file: path, number: number)
      }
      if skippingBad, case .failure(.badLine(_, _, let reason)) = parsed {
        skipped.append(SkippedLine(line: number, reason: reason))
      } else {
        records += try parsed.get()
        lines.append(number)
      }
    }
    if records.isEmpty && skipped.isEmpty {
      throw Failure(.badData, "There are no records in '\(path)'. Give a file with at least one line of JSON.")
    }
    self.path = path
    self.records = records
    self.lines = lines
    self.skipped = skipped
  }

  /// Runs `body`; a record it finds fault with is named by file and line.
  func naming<Result>(_ body: ([Record]) throws -> Result) throws -> Result {
    do { return try body(records) } catch let fault as RecordFault { throw located(fault) }
  }

  func located(_ fault: RecordFault) -> Failure {
    Failure(ExitStatus(fault), "Line \(lines[fault.index]) of '\(path)' cannot be used: \(fault.reason)")
  }

  mutating func skip(_ fault: RecordFault) {
    skipped.append(SkippedLine(line: lines[fault.index], reason: "\(fault.reason)"))
  }

  /// Names what was left out.
  func noteSkipped() {
    for one in skipped.sorted(by: { $0.line < $1.line }) {
      note("Line \(one.line) of '\(path)' is left out: \(one.reason)")
    }
  }
}

/// A line that was left out, and why.
struct SkippedLine: Encodable {
  let line: Int
  let reason: String
}

/// Where records go, each as soon as it is done: to stdout, or into a file that appears when it is whole.
final class RecordSink {
  private let part: PartFile?
  private var count = 0

  private init(_ path: String?) throws {
    part = try path.map { path in
      var isFolder: ObjCBool = false
      if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
        throw FileError.notAFile(path)
      }
      return try PartFile(replacing: path)
    }
  }

  /// Opens `path` (nil: stdout) before anything is computed, and puts the file in its place when `body` is done. After an
  /// interrupt what there is stays in the part file.
  static func write(to path: String?, _ body: (RecordSink) async throws -> Void) async throws {
    let sink = try RecordSink(path)
    do { try await body(sink) } catch is CancellationError { throw try sink.interrupted() }
    try sink.part?.commit()
  }

  func put(_ record: some Encodable) throws {
    let line = try JSONLines.line(record)
    if let part { try part.write(Array(line)) } else { try Output.write(line) }
    count += 1
  }

  private func interrupted() throws -> Failure {
    let again = "Run the same command again to start over."
    guard count > 0 else { return Failure(.interrupted, "Interrupted before the first record was done. \(again)") }
    guard let part else { return Failure(.interrupted, "Interrupted after \(count) records, all printed. \(again)") }
    try part.keep()
    return Failure(.interrupted, "Interrupted. The \(count) records done so far are in '\(part.path)'. \(again)")
  }
}

/// Results on stdout.
enum Output {
  static func write(_ data: Data) throws {
    do {
      try FileHandle.standardOutput.write(contentsOf: data)
    } catch {
      throw Failure(.readOrWrite, "Could not write to standard output: \(error.localizedDescription).")
    }
  }

  static func line(_ text: String) throws { try write(Data((text + "\n").utf8)) }

  static func text(_ text: String) throws { try write(Data(text.utf8)) }

  /// One JSON object on a line of its own, names in snake case as in the record files.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    try write(try encoder.encode(value) + Data("\n".utf8))
  }
}
