/// A GGUF file put together byte by byte, by nothing of ours: what it says is what the test wrote.
struct Handmade {
  struct Tensor {
    var name = "t"
    var dimensions: [Int64] = [32]
    /// When it shall differ from the list.
    var dimensionCount: UInt32?
    var type: UInt32 = 0
    var offset: UInt64 = 0
  }

  var magic = Array("GGUF".utf8)
  var version: UInt32 = 3
  var tensorCount: UInt64?
  var pairCount: UInt64?
  /// Each is key, type and value in bytes.
  var pairs: [[UInt8]] = []
  var tensors: [Tensor] = []
  var padding: UInt8 = 0
  var alignment = 32
  var data: [UInt8] = []

  /// Everything before the padding.
  var header: [UInt8] {
    var out = magic + little(version)
    out += little(tensorCount ?? UInt64(tensors.count))
    out += little(pairCount ?? UInt64(pairs.count))
    out += pairs.flatMap { $0 }
    for tensor in tensors {
      out += text(tensor.name) + little(tensor.dimensionCount ?? UInt32(tensor.dimensions.count))
      out += tensor.dimensions.flatMap { little($0) }
      out += little(tensor.type) + little(tensor.offset)
    }
    return out
  }

  var bytes: [UInt8] {
    let header = header
    let padding = [UInt8](repeating: padding, count: (alignment - header.count % alignment) % alignment)
    return header + padding + data
  }

  mutating func add(_ key: String, type: UInt32, _ value: [UInt8]) { pairs.append(text(key) + little(type) + value) }

  /// One pair of every kind and two tensors of 32 floats, of which the second is a 4 by 8 matrix.
  static var valid: Handmade {
    var file = Handmade()
    file.add("k.u8", type: 0, [200])
    file.add("k.i8", type: 1, [0xff])
    file.add("k.u16", type: 2, little(UInt16(60000)))
    file.add("k.i16", type: 3, little(Int16(-2)))
    file.add("k.u32", type: 4, little(UInt32(4_000_000_000)))
    file.add("k.i32", type: 5, little(Int32(-3)))
    file.add("k.f32", type: 6, little(Float(1.5).bitPattern))
    file.add("k.bool", type: 7, [1])
    file.add("k.string", type: 8, text("grüße"))
    file.add("k.strings", type: 9, little(UInt32(8)) + little(UInt64(3)) + text("a") + text("") + text("ccc"))
    file.add("k.ints", type: 9, little(UInt32(5)) + little(UInt64(2)) + little(Int32(-1)) + little(Int32(7)))
    file.add("k.u64", type: 10, little(UInt64.max))
    file.add("k.i64", type: 11, little(Int64.min))
    file.add("k.f64", type: 12, little(0.1.bitPattern))
    file.tensors = [Tensor(name: "first"), Tensor(name: "second", dimensions: [8, 4], offset: 128)]
    file.data = (0..<64).flatMap { little(Float($0).bitPattern) }
    return file
  }
}

func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

/// A length of 64 bits, then the bytes.
func text(_ value: String) -> [UInt8] { little(UInt64(value.utf8.count)) + Array(value.utf8) }
