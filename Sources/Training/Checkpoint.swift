/// Everything a killed run needs to go on: named float buffers and where the run stood.
/// Knows the file; what the names mean is the trainer's business.

import Foundation
import Tensors

public enum CheckpointError: Error, Equatable, CustomStringConvertible {
  case notOne(String)
  case unknownVersion(String, found: UInt32)
  case torn(String, reason: String)
  case missing(String, buffer: String)
  case wrongCount(String, buffer: String, needs: Int, has: Int)

  public var description: String {
    switch self {
    case .notOne(let path): "'\(path)' is not a checkpoint of Parley. Give the folder of the run that wrote one."
    case .unknownVersion(let path, let found):
      "Checkpoint '\(path)' has version \(found), this program knows \(Checkpoint.version). "
        + "Resume with the program that wrote it."
    case .torn(let path, let reason):
      "Checkpoint '\(path)' is damaged (\(reason)). Put back a copy of it, or begin again in a new folder."
    case .missing(let path, let buffer):
      "Checkpoint '\(path)' has no buffer '\(buffer)'. It belongs to a run with other settings."
    case .wrongCount(let path, let buffer, let needs, let has):
      "Buffer '\(buffer)' of checkpoint '\(path)' holds \(has) values, this run needs \(needs). "
        + "It belongs to a run with other settings."
    }
  }
}

/// File layout, little-endian: "PARLEYCK", u32 version, u32 length of the header, the header as JSON, the floats of every
/// buffer in its order, u64 checksum of all that came before.
public struct Checkpoint {
  public static let version: UInt32 = 2
  private static let magic = Array("PARLEYCK".utf8)

  public struct State: Codable, Equatable, Sendable {
    /// Optimiser steps done (skipped ones not counted), whole epochs done, and batches used of the running one.
    public var step = 0
    public var epoch = 0
    public var cursor = 0
    public var seed: UInt64
    /// Tokens trained on and seconds spent so far.
    public var tokens = 0
    public var seconds = 0.0
    /// Steps left out one after another, up to now.
    public var skippedInARow = 0
    public var heldOut = HeldOut.Standing()
    /// Bytes of the metrics file, and of the file of skipped steps, that belong to the steps done.
    public var metricsPosition = 0
    public var skippedPosition = 0
    /// What the run was made from (model, data, settings), by name; compared on resume.
    public var fingerprints: [String: String]

    /// Where a run begins.
    public init(seed: UInt64, fingerprints: [String: String] = [:]) {
      self.seed = seed
      self.fingerprints = fingerprints
    }
  }

  /// Floats in the trainer's memory, or in a mapped file. There they lie at any byte.
  public struct Floats {
    public let name: String
    public let bytes: UnsafeRawBufferPointer
    public var count: Int { bytes.count / MemoryLayout<Float>.stride }
    private let owner: AnyObject

    fileprivate init(_ name: String, _ bytes: UnsafeRawBufferPointer, of owner: AnyObject) {
      (self.name, self.bytes, self.owner) = (name, bytes, owner)
    }
  }

  public let state: State
  public let buffers: [Floats]

  public init(state: State, buffers: [(name: String, values: Buffer<Float>)]) {
    self.init(
      state: state, floats: buffers.map { Floats($0.name, UnsafeRawBufferPointer($0.values.span), of: $0.values) })
  }

  private init(state: State, floats: [Floats]) {
    self.state = state
    buffers = floats
  }

  private struct Header: Codable {
    struct Entry: Codable {
      let name: String
      let count: Int
    }
    let state: State
    let buffers: [Entry]
  }

  /// Replaces `path`, whole or not at all, without a second copy of the buffers in memory.
  public func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let header = try encoder.encode(
      Header(state: state, buffers: buffers.map { .init(name: $0.name, count: $0.count) }))
    var start = Self.magic
    start.append(littleEndian: Self.version)
    start.append(littleEndian: UInt32(header.count))
    start.append(contentsOf: header)

    try AtomicFile.write(to: path) { sink throws(FileError) in
      var sum = Checksum()
      sum.add(start)
      try sink.write(start)
      for buffer in buffers {
        sum.add(buffer.bytes)
        try sink.write(buffer.bytes)
      }
      var end: [UInt8] = []
      end.append(littleEndian: sum.value)
      try sink.write(end)
    }
  }

  /// The buffers stay in the file, which is mapped: they cost memory only once, where `restore` puts them.
  ///
  /// - Throws: `FileError` when it cannot be read, `CheckpointError` when it is not whole.
  public static func read(_ path: String) throws -> Checkpoint {
    try parse(MappedFile(path), path)
  }

  private static func parse(_ file: MappedFile, _ path: String) throws -> Checkpoint {
    let bytes = file.bytes
    let fixed = magic.count + 8
    guard bytes.count >= magic.count, bytes.prefix(magic.count).elementsEqual(magic) else {
      throw CheckpointError.notOne(path)
    }
    guard bytes.count >= fixed + 8 else { throw CheckpointError.torn(path, reason: "it ends within its first lines") }
    let found = bytes.number(UInt32.self, at: magic.count)
    guard found == version else { throw CheckpointError.unknownVersion(path, found: found) }

    let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 8)])
    let headerBytes = Int(bytes.number(UInt32.self, at: magic.count + 4))
    guard headerBytes <= body.count - fixed else {
      throw CheckpointError.torn(path, reason: "it ends within its header")
    }
    var sum = Checksum()
    sum.add(body)
    guard sum.value == bytes.number(UInt64.self, at: body.count) else {
      throw CheckpointError.torn(path, reason: "its checksum does not match")
    }

    let header: Header
    do {
      header = try JSONDecoder().decode(Header.self, from: Data(body[fixed..<(fixed + headerBytes)]))
    } catch {
      throw CheckpointError.torn(path, reason: "its header cannot be read")
    }
    var at = fixed + headerBytes
    var buffers: [Floats] = []
    for entry in header.buffers {
      guard entry.count >= 0, entry.count <= (body.count - at) / 4 else {
        throw CheckpointError.torn(path, reason: "buffer '\(entry.name)' is cut off")
      }
      let end = at + entry.count * 4
      buffers.append(Floats(entry.name, UnsafeRawBufferPointer(rebasing: body[at..<end]), of: file))
      at = end
    }
    guard at == body.count else { throw CheckpointError.torn(path, reason: "it is longer than its header says") }
    return Checkpoint(state: header.state, floats: buffers)
  }

  /// Copies buffer `name` into `target`. `path` is for the error's sentence.
  public func restore(_ name: String, into target: Buffer<Float>, path: String) throws(CheckpointError) {
    guard let found = buffers.first(where: { $0.name == name }) else {
      throw .missing(path, buffer: name)
    }
    guard found.count == target.count else {
      throw .wrongCount(path, buffer: name, needs: target.count, has: found.count)
    }
    UnsafeMutableRawBufferPointer(target.span).copyMemory(from: found.bytes)
  }
}

/// FNV-1a over the bytes, 64-bit. Finds torn and flipped bytes; it is no signature.
private struct Checksum {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
  }
}

extension [UInt8] {
  mutating func append(littleEndian number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func number<N: FixedWidthInteger & BitwiseCopyable>(_: N.Type, at offset: Int) -> N {
    N(littleEndian: loadUnaligned(fromByteOffset: offset, as: N.self))
  }
}
