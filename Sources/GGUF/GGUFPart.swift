import Tensors

/// One file of a model: most models are one, big ones are split as `llama-gguf-split` does it, into files called
/// `NAME-00001-of-00003.gguf`. The first has the metadata; each says its number, how many there are, and how many tensors they
/// have together.
struct GGUFPart: Sendable {
  let path: String
  let mapping: MappedFile
  let metadata: GGUFMetadata
  let tensors: [GGUFTensor]
  /// Byte at which the data part starts.
  let dataStart: Int

  /// - Throws: `GGUFError`: `.file` when the system refuses, else `.inFile` with what is wrong.
  init(_ path: String) throws(GGUFError) {
    self.path = path
    do { mapping = try MappedFile(path) } catch { throw .file(error) }
    do {
      let parser = try GGUFParser(mapping.bytes)
      (metadata, tensors, dataStart) = (parser.metadata, parser.tensors, parser.dataStart)
    } catch {
      throw .inFile(path: path, error)
    }
  }

  func bytes(of tensor: GGUFTensor) -> UnsafeRawBufferPointer {
    let start = dataStart + tensor.offset
    return UnsafeRawBufferPointer(rebasing: mapping.bytes[start..<(start + tensor.byteCount)])
  }

  /// `one`, or all parts of the model that it is a part of, in order, found by their names in the same folder.
  static func all(of one: GGUFPart) throws(GGUFError) -> [GGUFPart] {
    let count: Int
    do { count = try one.metadata.optionalInt(countKey) ?? 1 } catch { throw .inFile(path: one.path, error) }
    guard count > 0 else { throw .inFile(path: one.path, .splitCount(count)) }
    guard count > 1 else { return [one] }
    guard let name = SplitName(one.path), name.count == count else {
      throw .inFile(path: one.path, .splitName(parts: count))
    }
    var parts: [GGUFPart] = []
    for number in 1...count {
      let path = name.path(of: number)
      do {
        parts.append(number == name.number ? one : try GGUFPart(path))
      } catch {
        if case .file(.notFound) = error { throw .missingPart(path: path, number: number, of: count) }
        throw error
      }
      do { try check(parts[number - 1], number, of: count, first: parts[0]) } catch {
        throw .inFile(path: path, error)
      }
    }
    try checkTensors(parts)
    return parts
  }

  private static let countKey = "split.count"
  private static let prefix = "split."

  private static func check(
    _ part: GGUFPart, _ number: Int, of count: Int, first: GGUFPart
  ) throws(GGUFError) {
    let (no, total) = (try part.metadata.int("split.no"), try part.metadata.int(countKey))
    guard no == number - 1 else { throw .partNumber(found: no + 1, expected: number) }
    guard total == count else { throw .partCount(found: total, expected: count) }
    // Parts but the first need no metadata of their own; what they have must not be another model's.
    for key in part.metadata.keys where !key.hasPrefix(prefix) {
      guard let known = first.metadata[key], known != part.metadata[key] else { continue }
      throw .foreignPart(key: key)
    }
  }

  private static func checkTensors(_ parts: [GGUFPart]) throws(GGUFError) {
    var owners: [String: String] = [:]
    for part in parts {
      for tensor in part.tensors {
        if let other = owners.updateValue(part.path, forKey: tensor.name) {
          throw .inFile(path: part.path, .tensorInTwoParts(tensor: tensor.name, other: other))
        }
      }
    }
    for part in parts {
      do throws(GGUFError) {
        let declared = try part.metadata.int("split.tensors.count")
        guard declared == owners.count else { throw .splitTensors(found: owners.count, declared: declared) }
      } catch {
        throw .inFile(path: part.path, error)
      }
    }
  }
}

/// `FOLDER/NAME-00002-of-00003.gguf`, taken apart.
struct SplitName {
  private let stem: Substring
  let number: Int
  let count: Int

  /// Nil for a path of another form.
  init?(_ path: String) {
    let suffix = ".gguf"
    guard path.hasSuffix(suffix) else { return nil }
    var rest = path.dropLast(suffix.count)
    guard let count = Self.takeNumber(after: "-of-", from: &rest),
      let number = Self.takeNumber(after: "-", from: &rest), (1...max(count, 1)).contains(number)
    else { return nil }
    (stem, self.number, self.count) = (rest, number, count)
  }

  func path(of number: Int) -> String { "\(stem)-\(Self.digits(number))-of-\(Self.digits(count)).gguf" }

  private static let width = 5

  /// Takes the five digits at the end, and what stands before them.
  private static func takeNumber(after word: String, from rest: inout Substring) -> Int? {
    let digits = rest.suffix(width)
    guard digits.utf8.count == width, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    let before = rest.dropLast(width)
    guard before.hasSuffix(word) else { return nil }
    rest = before.dropLast(word.count)
    return Int(digits)
  }

  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
}
