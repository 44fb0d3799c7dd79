import Tensors

/// What is wrong with a GGUF file, or with a wish it cannot fulfil.
public indirect enum GGUFError: Error, Equatable, Sendable, CustomStringConvertible {
  // The file as a whole
  case file(FileError)
  case inFile(path: String, GGUFError)
  case notGGUF
  case bigEndian
  case version(UInt32)
  case truncated(String, needs: UInt64, has: Int)
  case tooMany(String, count: UInt64, bytesLeft: Int)

  // The parts of a split model
  case splitCount(Int)
  case splitName(parts: Int)
  case missingPart(path: String, number: Int, of: Int)
  case partNumber(found: Int, expected: Int)
  case partCount(found: Int, expected: Int)
  case foreignPart(key: String)
  case tensorInTwoParts(tensor: String, other: String)
  case splitTensors(found: Int, declared: Int)

  // Names and values
  case emptyName(String)
  case nameTooLong(String, bytes: UInt64, limit: Int)
  case notUTF8(String)
  case duplicate(String, name: String)
  case valueType(key: String, id: UInt32)
  case nestedArray(key: String)
  case boolByte(key: String, UInt8)
  case alignment(String)

  // Tensors
  case dimensionCount(tensor: String, UInt32)
  case dimensions(tensor: String, [Int64])
  case tensorType(tensor: String, id: UInt32, origin: String)
  case partialBlock(tensor: String, columns: Int, block: Int)
  case unaligned(tensor: String, offset: UInt64, alignment: Int)
  case overlap(tensor: String, offset: Int, expected: Int)
  case hole(tensor: String, offset: Int, expected: Int)
  case padding(at: Int)
  case trailing(bytes: Int)

  // Asking an intact file
  case missingKey(String)
  case wrongType(key: String, found: String, wanted: String)
  case notPositive(key: String, value: Int)
  case missingTensor(String)
  case unsupportedFormat(tensor: String, format: String)
  case notMatrix(tensor: String, dimensions: [Int])
  case inconsistent(String)

  // Writing
  case notVerified(path: String)

  /// The error without the path around it.
  public var fact: GGUFError {
    if case .inFile(_, let error) = self { error.fact } else { self }
  }

  public var description: String {
    switch self {
    case .file(let error): "\(error)"
    case .inFile(let path, let error): "\(path): \(error)"
    case .notGGUF: "This is not a GGUF file, its first bytes differ: name a file that ends in .gguf."
    case .bigEndian: "This GGUF file is big-endian: use the little-endian file of this model."
    case .version(let version): "GGUF version \(version) is not supported, only 2 and 3: convert the model again."
    case .truncated(let what, let needs, let has):
      "The file ends inside \(what), which needs \(needs) bytes where \(has) are left. The download is probably "
        + "incomplete: compare its SHA-256 with the publisher's."
    case .tooMany(let what, let count, let bytesLeft):
      "\(what) claims \(count) entries, more than the \(bytesLeft) bytes left can hold: the file is cut off or damaged, get it again."

    case .splitCount(let count): "split.count is \(count), so this would be a part of nothing: \(Self.damaged)"
    case .splitName(let parts):
      "This is one of \(parts) parts of a split model, but its name does not say which: it must end like -00001-of-"
        + String(repeating: "0", count: max(0, 5 - String(parts).count)) + "\(parts).gguf. Give it its own name again."
    case .missingPart(let path, let number, let count):
      "Part \(number) of \(count) of the model is missing: put '\(path)' beside the others."
    case .partNumber(let found, let expected):
      "This file says it is part \(found), its name says \(expected): give the parts their own names again."
    case .partCount(let found, let expected):
      "This part belongs to a model of \(found) parts, the others to one of \(expected): get the parts of one model."
    case .foreignPart(let key):
      "This part and the first disagree on '\(key)', so they are of different models: get the parts of one model."
    case .tensorInTwoParts(let tensor, let other):
      "Tensor '\(tensor)' is in this part and in '\(other)': get the parts of one model."
    case .splitTensors(let found, let declared):
      "The parts have \(found) tensors together, this one declares \(declared): get the parts of one model."

    case .emptyName(let what): "\(what) has an empty name: \(Self.damaged)"
    case .nameTooLong(let what, let bytes, let limit):
      "\(what) has a name of \(bytes) bytes, at most \(limit) are allowed: \(Self.damaged)"
    case .notUTF8(let what): "\(what) is not valid UTF-8: \(Self.damaged)"
    case .duplicate(let what, let name): "\(what) '\(name)' is in the file twice: \(Self.damaged)"
    case .valueType(let key, let id): "Key '\(key)' has a value of unknown type \(id): \(Self.damaged)"
    case .nestedArray(let key): "Key '\(key)' holds an array of arrays, which is not supported: \(Self.damaged)"
    case .boolByte(let key, let byte): "Key '\(key)' is a bool with the byte \(byte), not 0 or 1: \(Self.damaged)"
    case .alignment(let found):
      "general.alignment is \(found), but must be a uint32 that is a power of two and at least 8: \(Self.damaged)"

    case .dimensionCount(let tensor, let count):
      "Tensor '\(tensor)' has \(count) dimensions, not 1 to 4: \(Self.damaged)"
    case .dimensions(let tensor, let sizes):
      "Tensor '\(tensor)' has the impossible dimensions \(sizes): \(Self.damaged)"
    case .tensorType(let tensor, let id, let origin): "Tensor '\(tensor)' has type \(id): \(origin)."
    case .partialBlock(let tensor, let columns, let block):
      "Tensor '\(tensor)' has rows of \(columns) values, not whole blocks of \(block): \(Self.damaged)"
    case .unaligned(let tensor, let offset, let alignment):
      "Tensor '\(tensor)' starts at \(offset), not a multiple of \(alignment): \(Self.damaged)"
    case .overlap(let tensor, let offset, let expected):
      "Tensor '\(tensor)' starts at \(offset), inside the one before it, which ends at \(expected): \(Self.damaged)"
    case .hole(let tensor, let offset, let expected):
      "Tensor '\(tensor)' starts at \(offset), but the one before it ends at \(expected): \(Self.damaged)"
    case .padding(let offset): "The padding at byte \(offset) is not zero: \(Self.damaged)"
    case .trailing(let bytes): "\(bytes) bytes follow the last tensor: \(Self.damaged)"

    case .missingKey(let key): "The key '\(key)' is missing: the file is not a model of this kind, or incomplete."
    case .wrongType(let key, let found, let wanted):
      "Key '\(key)' is \(found), not \(wanted): convert the model again."
    case .notPositive(let key, let value): "Key '\(key)' is \(value), but must be above 0: convert the model again."
    case .missingTensor(let name):
      "The tensor '\(name)' is missing: the file is not a model of this kind, or incomplete."
    case .unsupportedFormat(let tensor, let format):
      "Tensor '\(tensor)' is stored as \(format), which is not a format of weights: use a file in another format."
    case .notMatrix(let tensor, let dimensions):
      "Tensor '\(tensor)' has the dimensions \(dimensions), but a matrix is needed: convert the model again."
    case .inconsistent(let what): "The model contradicts itself: \(what)."

    case .notVerified(let path):
      "'\(path)' did not read back as it was written, what was there before is unchanged: check the disk."
    }
  }

  private static let damaged = "the file is damaged, get it again."
}
