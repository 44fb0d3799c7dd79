/// JSON lines in and out for commands: records that remember their lines, and results to stdout or to a file.

import Foundation
import Tensors
import Tokenization

/// The records of a file and where each stands in it.
struct RecordFile<Record: Decodable> {
  let path: String
  let records: [Record]

  /// - Throws: `Failure` for a file without records: whoever names a file expects something from it.
  init(_ path: String) throws {
    self.path = path
    records = try JSONLines.read(Record.self, from: path)
    if records.isEmpty {
      throw Failure(.badData, "There are no records in '\(path)'. Give a file with at least one line of JSON.")
    }
  }

  /// Runs `body`; a record it finds fault with is named by file and line.
  func naming<Result>(_ body: ([Record]) throws -> Result) throws -> Result {
    do { return try body(records) } catch let fault as RecordFault { throw try located(fault) }
  }

  func located(_ fault: RecordFault) throws -> Failure {
    let lines = JSONLines.filledLines(Data(try AtomicFile.read(path)))
    let number = fault.index < lines.count ? lines[fault.index].number : fault.index + 1
    return Failure(ExitStatus(fault), "Line \(number) of '\(path)' cannot be used: \(fault.reason)")
  }
}

/// Where records go: to stdout at once, or into a file that is written whole or not at all.
final class RecordSink {
  private let path: String?
  private var bytes: [UInt8] = []

  init(_ path: String?) { self.path = path }

  func put(_ record: some Encodable) throws {
    let line = try JSONLines.line(record)
    if path == nil { try Output.write(line) } else { bytes += line }
  }

  /// Writes the file; call it when all records are there.
  func commit() throws {
    if let path { try AtomicFile.write(bytes, to: path) }
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
