/// Event files for TensorBoard: scalars, nothing else. The format is a sequence of records, each a length, the masked CRC-32C of
/// the length, an `Event` in protobuf, and the masked CRC-32C of that (TensorFlow's record_writer.h and event.proto).

import Foundation
import Tensors

/// A file of events of one start of a run, only ever appended to.
public final class TensorBoardLog {
  private let file: AppendFile

  /// Begins a new file behind those in `folder`: their names count up, and TensorBoard reads them in the order of their names.
  ///
  /// - Parameters:
  ///   - step: what comes first. TensorBoard forgets what earlier files say of this step and later ones, as it does at
  ///     every `SessionLog.START`: those are the steps a killed run had done since its checkpoint.
  ///   - time: seconds since 1970.
  public init(folder: String, step: Int, time: Double) throws {
    try FileSystem.createFolder(folder)
    let numbers = try FileSystem.names(in: folder).compactMap { name in
      name.hasPrefix(Self.prefix) ? Int(name.dropFirst(Self.prefix.count)) : nil
    }
    let digits = "\((numbers.max() ?? 0) + 1)"
    let number = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    file = try AppendFile(folder + "/" + Self.prefix + number)
    try append(Message(time: time, step: 0).text(3, "brain.Event:2"))
    try append(Message(time: time, step: step).message(7, Message().integer(1, 1)))
  }

  private static let prefix = "events.out.tfevents."

  /// Every number of a line of `metrics.jsonl`, under its name there.
  public func append(_ record: some MetricsLine, time: Double) throws {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let fields = try decoder.decode([String: Field].self, from: record.line())
    var summary = Message()
    for (name, field) in fields.sorted(by: { $0.key < $1.key }) where name != "step" {
      guard let number = field.number else { continue }
      summary = summary.message(1, Message().text(1, name).float(2, Float(number)))
    }
    try append(Message(time: time, step: Int(fields["step"]?.number ?? 0)).message(5, summary))
  }

  private func append(_ event: Message) throws(FileError) {
    var length: [UInt8] = []
    length.append(littleEndian: UInt64(event.bytes.count))
    var record = length
    record.append(littleEndian: CRC32C.masked(length))
    record += event.bytes
    record.append(littleEndian: CRC32C.masked(event.bytes))
    try file.append(record)
  }

  /// A number, or something TensorBoard has no curve for.
  private struct Field: Decodable {
    let number: Double?

    init(from decoder: any Decoder) throws { number = try? decoder.singleValueContainer().decode(Double.self) }
  }
}

/// A protobuf message in the making.
private struct Message {
  private(set) var bytes: [UInt8] = []

  init() {}

  /// An `Event` without its content.
  init(time: Double, step: Int) {
    key(1, wire: 1)
    bytes.append(littleEndian: time.bitPattern)
    // proto3 leaves out zeros, but not of a field that says which one of several it is, such as a scalar's value.
    if step != 0 { self = integer(2, UInt64(step)) }
  }

  func integer(_ field: Int, _ value: UInt64) -> Message {
    var message = self
    message.key(field, wire: 0)
    message.variable(value)
    return message
  }

  func float(_ field: Int, _ value: Float) -> Message {
    var message = self
    message.key(field, wire: 5)
    message.bytes.append(littleEndian: value.bitPattern)
    return message
  }

  func text(_ field: Int, _ value: String) -> Message { block(field, Array(value.utf8)) }

  func message(_ field: Int, _ value: Message) -> Message { block(field, value.bytes) }

  private func block(_ field: Int, _ content: [UInt8]) -> Message {
    var message = self
    message.key(field, wire: 2)
    message.variable(UInt64(content.count))
    message.bytes += content
    return message
  }

  private mutating func key(_ field: Int, wire: UInt64) { variable(UInt64(field) << 3 | wire) }

  /// Seven bits a byte, the lowest first.
  private mutating func variable(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F | 0x80))
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// The Castagnoli polynomial, reflected, a byte at a time; turned and shifted as TensorFlow's records want it.
private enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 0 ? 0 : 0x82F6_3B78) }
  }

  static func masked(_ bytes: [UInt8]) -> UInt32 {
    let sum = ~bytes.reduce(~0) { sum, byte in sum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
    return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
  }
}
