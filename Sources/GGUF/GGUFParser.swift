/// From the bytes of a file to its metadata and tensor list. Trusts nothing: see each error for the rule.
///
/// Layout: magic, version, two counts, the pairs, the tensor infos, zero padding, the data. ggml demands that tensors
/// lie one behind the other in the order of their infos, each padded to the alignment; so do we.
struct GGUFParser {
  private(set) var metadata = GGUFMetadata()
  private(set) var tensors: [GGUFTensor] = []
  /// Byte at which the data part starts.
  private(set) var dataStart = 0

  static let magic: [UInt8] = Array("GGUF".utf8)
  static let defaultAlignment = 32
  /// The specification's limits on names.
  static let keyBytes = 65535
  static let tensorNameBytes = 64

  private let bytes: UnsafeRawBufferPointer
  private var cursor: ByteCursor

  init(_ bytes: UnsafeRawBufferPointer) throws(GGUFError) {
    self.bytes = bytes
    cursor = ByteCursor(bytes)
    let (tensorCount, pairCount) = try header()
    for index in 0..<pairCount { try pair(index) }
    try tensorInfos(tensorCount, alignment: alignment())
  }

  private mutating func header() throws(GGUFError) -> (tensors: Int, pairs: Int) {
    guard bytes.prefix(4).elementsEqual(Self.magic.prefix(bytes.count)) else { throw .notGGUF }
    _ = try cursor.integer("the header", as: UInt32.self)
    let version = try cursor.integer("the header", as: UInt32.self)
    if version != 0 && version & 0xffff == 0 { throw .bigEndian }
    guard version == 2 || version == 3 else { throw .version(version) }
    // The smallest info: length, one letter, count, one size, type, offset. The smallest pair: length, letter, type, byte.
    let tensors = try cursor.count(of: 8 + 1 + 4 + 8 + 4 + 8, "The tensor list")
    let pairs = try cursor.count(of: 8 + 1 + 4 + 1, "The metadata")
    return (tensors, pairs)
  }

  // MARK: Pairs

  private mutating func pair(_ index: Int) throws(GGUFError) {
    let key = try cursor.name(limit: Self.keyBytes, "Key \(index)")
    guard metadata[key] == nil else { throw .duplicate("Key", name: key) }
    let type = try valueType(key)
    metadata.set(key, type == .array ? try array(key) : try scalar(type, key))
  }

  private mutating func valueType(_ key: String) throws(GGUFError) -> GGUFType {
    let id = try cursor.integer("key '\(key)'", as: UInt32.self)
    guard let type = GGUFType(rawValue: id) else { throw .valueType(key: key, id: id) }
    return type
  }

  private mutating func array(_ key: String) throws(GGUFError) -> GGUFValue {
    let type = try valueType(key)
    guard type != .array else { throw .nestedArray(key: key) }
    let count = try cursor.count(of: type.minimumBytes, "The array of key '\(key)'")
    var items: [GGUFValue] = []
    items.reserveCapacity(count)
    for _ in 0..<count { items.append(try scalar(type, key)) }
    return .array(type, items)
  }

  private mutating func scalar(_ type: GGUFType, _ key: String) throws(GGUFError) -> GGUFValue {
    switch type {
    case .uint8: return .uint8(try cursor.integer("key '\(key)'"))
    case .int8: return .int8(try cursor.integer("key '\(key)'"))
    case .uint16: return .uint16(try cursor.integer("key '\(key)'"))
    case .int16: return .int16(try cursor.integer("key '\(key)'"))
    case .uint32: return .uint32(try cursor.integer("key '\(key)'"))
    case .int32: return .int32(try cursor.integer("key '\(key)'"))
    case .uint64: return .uint64(try cursor.integer("key '\(key)'"))
    case .int64: return .int64(try cursor.integer("key '\(key)'"))
    case .float32: return .float32(Float(bitPattern: try cursor.integer("key '\(key)'")))
    case .float64: return .float64(Double(bitPattern: try cursor.integer("key '\(key)'")))
    case .string: return .string(try cursor.string("the value of key '\(key)'"))
    case .bool:
      let byte = try cursor.integer("key '\(key)'", as: UInt8.self)
      guard byte <= 1 else { throw .boolByte(key: key, byte) }
      return .bool(byte == 1)
    case .array: throw .nestedArray(key: key)
    }
  }

  private func alignment() throws(GGUFError) -> Int {
    guard let value = metadata["general.alignment"] else { return Self.defaultAlignment }
    guard case .uint32(let alignment) = value else { throw .alignment("of type \(value.typeName)") }
    guard alignment >= 8, alignment.nonzeroBitCount == 1 else { throw .alignment("\(alignment)") }
    return Int(alignment)
  }

  // MARK: Tensors

  private mutating func tensorInfos(_ count: Int, alignment: Int) throws(GGUFError) {
    var names = Set<String>()
    var offsets: [UInt64] = []
    tensors.reserveCapacity(count)
    for index in 0..<count {
      let name = try cursor.name(limit: Self.tensorNameBytes, "Tensor \(index)")
      guard names.insert(name).inserted else { throw .duplicate("Tensor", name: name) }
      let dimensions = try dimensions(of: name)
      let typeID = try cursor.integer("the info of tensor '\(name)'", as: UInt32.self)
      let byteCount = try byteCount(of: name, dimensions, typeID)
      let offset = try cursor.integer("the info of tensor '\(name)'", as: UInt64.self)
      guard offset.isMultiple(of: UInt64(alignment)) else {
        throw .unaligned(tensor: name, offset: offset, alignment: alignment)
      }
      offsets.append(offset)
      tensors.append(
        GGUFTensor(
          name: name, dimensions: dimensions, typeID: typeID, offset: Int(clamping: offset), byteCount: byteCount))
    }
    try checkData(alignment: alignment)
  }

  private mutating func dimensions(of name: String) throws(GGUFError) -> [Int] {
    let count = try cursor.integer("the info of tensor '\(name)'", as: UInt32.self)
    guard (1...4).contains(count) else { throw .dimensionCount(tensor: name, count) }
    var sizes: [Int64] = []
    for _ in 0..<count { sizes.append(try cursor.integer("the info of tensor '\(name)'")) }
    var elements = 1
    for size in sizes {
      let (product, overflow) = elements.multipliedReportingOverflow(by: Int(size))
      guard size > 0, !overflow else { throw .dimensions(tensor: name, sizes) }
      elements = product
    }
    return sizes.map { Int($0) }
  }

  private func byteCount(of name: String, _ dimensions: [Int], _ typeID: UInt32) throws(GGUFError) -> Int {
    guard let type = GGMLType(typeID) else {
      throw .tensorType(tensor: name, id: typeID, origin: GGMLType.origin(of: typeID))
    }
    guard dimensions[0].isMultiple(of: type.valuesPerBlock) else {
      throw .partialBlock(tensor: name, columns: dimensions[0], block: type.valuesPerBlock)
    }
    let blocks = dimensions.reduce(1, *) / type.valuesPerBlock
    let (bytes, overflow) = blocks.multipliedReportingOverflow(by: type.bytesPerBlock)
    guard !overflow else { throw .dimensions(tensor: name, dimensions.map(Int64.init)) }
    return bytes
  }

  /// Each tensor must start where the padding behind the one before it ends, and end inside the file.
  private mutating func checkData(alignment: Int) throws(GGUFError) {
    guard !tensors.isEmpty else {  // a file of metadata may stop without its padding
      dataStart = min(padded(cursor.position, alignment), bytes.count)
      try checkZero(cursor.position..<dataStart)
      guard dataStart == bytes.count else { throw .trailing(bytes: bytes.count - dataStart) }
      return
    }
    dataStart = padded(cursor.position, alignment)
    guard dataStart <= bytes.count else {
      throw .truncated(
        "the padding before the data", needs: UInt64(dataStart - cursor.position), has: cursor.bytesLeft)
    }
    try checkZero(cursor.position..<dataStart)
    let dataBytes = bytes.count - dataStart
    var end = 0  // of the tensor before, with padding as far as the file has it
    for tensor in tensors {
      guard tensor.offset >= end else { throw .overlap(tensor: tensor.name, offset: tensor.offset, expected: end) }
      guard tensor.offset == end else { throw .hole(tensor: tensor.name, offset: tensor.offset, expected: end) }
      guard tensor.byteCount <= dataBytes - end else {
        throw .truncated(
          "tensor '\(tensor.name)'", needs: UInt64(tensor.byteCount), has: dataBytes - end)
      }
      let last = end + tensor.byteCount
      end = min(padded(last, alignment), dataBytes)
      try checkZero((dataStart + last)..<(dataStart + end))
    }
    guard end == dataBytes else { throw .trailing(bytes: dataBytes - end) }
  }

  private func checkZero(_ range: Range<Int>) throws(GGUFError) {
    for index in range where bytes[index] != 0 { throw .padding(at: index) }
  }
}

/// `size` rounded up to the alignment, a power of two. Sizes here are at most those of a file, so nothing overflows.
func padded(_ size: Int, _ alignment: Int) -> Int { (size + alignment - 1) & ~(alignment - 1) }
