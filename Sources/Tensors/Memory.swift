#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Memory of a fixed count of trivial values, aligned to 64 bytes, zeroed, freed with its last owner.
///
/// Shared mutable memory: whoever holds it decides who writes when. The kernels write disjoint parts.
public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
  public let count: Int
  public let pointer: UnsafeMutablePointer<Element>
  /// Whose memory this is a part of; nil when it is its own.
  private let owner: Buffer?

  /// `count` zero bytes-values. Zero counts are allowed.
  public init(count: Int) {
    precondition(count >= 0, "a buffer cannot hold \(count) values")
    self.count = count
    let bytes = max(64, (count * MemoryLayout<Element>.stride + 63) & ~63)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    memset(raw, 0, bytes)
    pointer = raw.bindMemory(to: Element.self, capacity: max(count, 1))
    owner = nil
  }

  /// `range` of `owner`, the same memory.
  fileprivate init(_ range: Range<Int>, of owner: Buffer) {
    count = range.count
    pointer = owner.pointer + range.lowerBound
    self.owner = owner
  }

  public convenience init(_ values: [Element]) {
    self.init(count: values.count)
    for (i, value) in values.enumerated() { pointer[i] = value }
  }

  deinit {
    if owner == nil { UnsafeMutableRawPointer(pointer).deallocate() }
  }

  public var values: [Element] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
  public var span: UnsafeMutableBufferPointer<Element> { .init(start: pointer, count: count) }

  public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "index \(index) is outside 0..<\(count)")
      return pointer[index]
    }
    set {
      precondition(index >= 0 && index < count, "index \(index) is outside 0..<\(count)")
      pointer[index] = newValue
    }
  }

  public func fill(_ value: Element) { pointer.update(repeating: value, count: count) }
}

/// A row-major `[rows, columns]` matrix of floats. A reference: two names can mean one memory.
public final class Matrix: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  public let buffer: Buffer<Float>

  /// Zeros.
  public init(_ rows: Int, _ columns: Int) {
    self.rows = rows
    self.columns = columns
    buffer = Buffer(count: rows * columns)
  }

  /// Rows `range` of `whole`, the same memory.
  private init(_ range: Range<Int>, of whole: Matrix) {
    rows = range.count
    columns = whole.columns
    buffer = Buffer((range.lowerBound * columns)..<(range.upperBound * columns), of: whole.buffer)
  }

  private init(foldedTo columns: Int, of whole: Matrix) {
    precondition(whole.count.isMultiple(of: columns), "\(whole.count) values are not rows of \(columns)")
    rows = whole.count / columns
    self.columns = columns
    buffer = whole.buffer
  }

  public convenience init(_ rows: Int, _ columns: Int, _ values: [Float]) {
    precondition(values.count == rows * columns, "\(values.count) values for [\(rows), \(columns)]")
    self.init(rows, columns)
    for (i, value) in values.enumerated() { pointer[i] = value }
  }

  public var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
  public var count: Int { rows * columns }
  public var values: [Float] { buffer.values }

  public subscript(row: Int, column: Int) -> Float {
    get {
      precondition(
        row >= 0 && row < rows && column >= 0 && column < columns,
        "[\(row), \(column)] is outside [\(rows), \(columns)]")
      return pointer[row * columns + column]
    }
    set {
      precondition(
        row >= 0 && row < rows && column >= 0 && column < columns,
        "[\(row), \(column)] is outside [\(rows), \(columns)]")
      pointer[row * columns + column] = newValue
    }
  }

  public func row(_ index: Int) -> UnsafeMutableBufferPointer<Float> {
    precondition(index >= 0 && index < rows, "row \(index) is outside 0..<\(rows)")
    return .init(start: pointer + index * columns, count: columns)
  }

  /// Rows `range` of this matrix, the same memory.
  public func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) are outside 0..<\(rows)")
    return Matrix(range, of: self)
  }

  /// The same values as rows of `columns`, the same memory.
  public func folded(columns: Int) -> Matrix { Matrix(foldedTo: columns, of: self) }

  public func clear() { buffer.fill(0) }

  public func copy() -> Matrix {
    let other = Matrix(rows, columns)
    other.pointer.update(from: pointer, count: count)
    return other
  }

  /// A new matrix with rows and columns exchanged.
  public func transposed() -> Matrix {
    let other = Matrix(columns, rows)
    transpose(from: self, to: other)
    return other
  }
}

/// A weight matrix `[rows, columns]` where it lies in the mapped file: `y = W x` has `rows` outputs.
public struct WeightView: @unchecked Sendable {
  public let name: String
  public let format: WeightFormat
  public let rows: Int
  public let columns: Int
  public let bytes: UnsafeRawBufferPointer
  /// Keeps the mapping alive.
  let owner: AnyObject

  /// - Precondition: `bytes` holds exactly `rows` rows of `columns` values in `format`.
  public init(
    name: String, format: WeightFormat, rows: Int, columns: Int, bytes: UnsafeRawBufferPointer,
    owner: AnyObject
  ) {
    let rowBytes = format.bytes(for: columns)
    precondition(
      rowBytes.map { $0 * rows } == bytes.count,
      "\(bytes.count) bytes cannot be [\(rows), \(columns)] of \(format)")
    self.name = name
    self.format = format
    self.rows = rows
    self.columns = columns
    self.bytes = bytes
    self.owner = owner
  }

  public var rowBytes: Int { rows == 0 ? 0 : bytes.count / rows }

  /// Rows `range` of this matrix, the same memory.
  public func rows(_ range: Range<Int>) -> WeightView {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) are outside 0..<\(rows)")
    let part = UnsafeRawBufferPointer(rebasing: bytes[(range.lowerBound * rowBytes)..<(range.upperBound * rowBytes)])
    return WeightView(name: name, format: format, rows: range.count, columns: columns, bytes: part, owner: owner)
  }
}
