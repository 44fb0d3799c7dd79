import Tensors

/// Writes one safetensors file: the header's length, then names, types, shapes and offsets as JSON, then one tensor behind the other in
/// the order they were added.
struct SafetensorsWriter {
  private var entries = [#""__metadata__":{"format":"pt"}"#]
  private var data: [[UInt8]] = []
  private var offset = 0

  /// - Parameter format: F32, F16 or BF16.
  /// - Throws: `AdapterError.tooLarge`.
  mutating func add(_ name: String, _ matrix: Matrix, _ format: WeightFormat) throws(AdapterError) {
    let bytes = try matrix.encoded(format, name: name)
    let end = offset + bytes.count
    let facts =
      #"{"dtype":"\#(format.name)","shape":[\#(matrix.rows),\#(matrix.columns)],"data_offsets":[\#(offset),\#(end)]}"#
    entries.append(jsonString(name) + ":" + facts)
    data.append(bytes)
    offset = end
  }

  /// Writes the file whole or not at all.
  func write(to path: String) throws(FileError) {
    var header = Array("{\(entries.joined(separator: ","))}".utf8)
    while !header.count.isMultiple(of: 8) { header.append(UInt8(ascii: " ")) }  // aligns the data
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    try AtomicFile.write(to: path) { part throws(FileError) in
      try part.write(length + header)
      for bytes in data { try part.write(bytes) }
    }
  }
}

/// The text as a JSON string literal.
func jsonString(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": out += "\\\(scalar)"
    case " "...: out.unicodeScalars.append(scalar)
    default: out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
    }
  }
  return out + "\""
}
