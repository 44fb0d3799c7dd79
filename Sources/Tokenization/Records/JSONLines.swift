/// JSON lines: one record a line, UTF-8, empty lines skipped. Errors name the file and the line.

import Foundation
import Tensors

public enum RecordError: Error, Equatable, CustomStringConvertible {
  case badLine(file: String, line: Int, reason: String)
  case notEncodable(file: String, record: Int, reason: String)

  public var description: String {
    switch self {
    case .badLine(let file, let line, let reason):
      "Line \(line) of '\(file)' is not a record: \(reason). Mend or remove that line."
    case .notEncodable(let file, let record, let reason):
      "Record \(record) for '\(file)' cannot be written as JSON: \(reason)."
    }
  }
}

public enum JSONLines {
  /// Every record of a file, in order.
  ///
  /// - Throws: `FileError` when the file cannot be read, `RecordError.badLine` for the first line that is not a record.
  public static func read<Record: Decodable>(_: Record.Type, from path: String) throws -> [Record] {
    try parse(Record.self, Data(AtomicFile.read(path)), file: path)
  }

  /// - Parameters:
  ///   - file: the name used in errors.
  ///   - first: number of the first line in that file.
  public static func parse<Record: Decodable>(
    _: Record.Type, _ data: Data, file: String, number first: Int = 1
  ) throws(RecordError) -> [Record] {
    var records: [Record] = []
    for (number, line) in filledLines(data) {
      do {
        records.append(try decode(Record.self, from: line))
      } catch {
        throw .badLine(file: file, line: first - 1 + number, reason: reason(error))
      }
    }
    return records
  }

  /// One record; objects this program does not know keep the order of their fields.
  public static func decode<Record: Decodable>(_: Record.Type, from line: Data) throws -> Record {
    let decoder = JSONDecoder()
    if let key = CodingUserInfoKey.wholeJSON { decoder.userInfo[key] = JSONParser.parse(line) }
    return try decoder.decode(Record.self, from: line)
  }

  /// The lines that hold records, and where in the file each stands, from 1.
  public static func filledLines(_ data: Data) -> [(number: Int, line: Data)] {
    data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
      .filter { !$1.allSatisfy { [UInt8(ascii: " "), UInt8(ascii: "\r"), UInt8(ascii: "\t")].contains($0) } }
      .map { ($0 + 1, $1) }
  }

  /// Replaces a file by these records, whole or not at all. Keys are sorted, so equal records give equal bytes, but for
  /// turns and objects that were read, which keep their order; numbers are the shortest that read back to the same bits.
  public static func write(_ records: [some Encodable], to path: String) throws {
    var data = Data()
    for (index, record) in records.enumerated() {
      do {
        data.append(try line(record))
      } catch {
        throw RecordError.notEncodable(file: path, record: index + 1, reason: reason(error))
      }
    }
    try AtomicFile.write(data, to: path)
  }

  /// One record and its line end.
  public static func line(_ record: some Encodable) throws -> Data { Data((try text(record) + "\n").utf8) }

  /// One record without a line end.
  public static func text(_ record: some Encodable) throws -> String {
    try JSONText.of(record)
  }

  /// What is wrong, in a few words that fit into a sentence.
  private static func reason(_ error: any Error) -> String {
    func path(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
      (context.codingPath + (key.map { [$0] } ?? [])).map { $0.intValue.map(String.init) ?? $0.stringValue }
        .joined(separator: ".")
    }
    switch error {
    case DecodingError.keyNotFound(let key, let context):
      return "field '\(path(context, key))' is missing"
    case DecodingError.typeMismatch(_, let context) where context.codingPath.isEmpty,
      DecodingError.valueNotFound(_, let context) where context.codingPath.isEmpty:
      return "it is not a JSON object"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      return "field '\(path(context))' has the wrong type"
    case DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty:
      return "it is not valid JSON"
    case DecodingError.dataCorrupted(let context):
      return "field '\(path(context))': \(context.debugDescription)"
    case EncodingError.invalidValue(_, let context):
      return "field '\(context.codingPath.map(\.stringValue).joined(separator: "."))' is not a finite number"
    default:
      return "\(error)"
    }
  }
}
