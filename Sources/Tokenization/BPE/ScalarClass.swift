/// Unicode scalars as pre-tokenizers see them, and the reading of scalars from UTF-8 bytes.

enum ScalarClass: Equatable {
  /// General category L. Combining marks are not letters.
  case letter
  /// General category N: digits, letter-like and other numbers.
  case number
  /// Property White_Space.
  case space
  case other

  init(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      self = Self.ascii[Int(scalar.value)]
    } else {
      self.init(properties: scalar.properties)
    }
  }

  private static let ascii: [ScalarClass] = (0..<128).map {
    ScalarClass(properties: Unicode.Scalar(UInt8($0)).properties)
  }

  private init(properties: Unicode.Scalar.Properties) {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    default: self = properties.isWhitespace ? .space : .other
    }
  }
}

/// The scalar that starts at `position`, and where the next one starts. `text` is valid UTF-8.
func decodeScalar(_ text: ArraySlice<UInt8>, at position: Int) -> (scalar: Unicode.Scalar, next: Int) {
  let first = text[position]
  if first < 0x80 { return (Unicode.Scalar(first), position + 1) }
  let length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  var value = UInt32(first) & (0x7f >> UInt32(length))
  for byte in text[(position + 1)..<(position + length)] { value = value << 6 | UInt32(byte & 0x3f) }
  return (Unicode.Scalar(value) ?? "\u{FFFD}", position + length)
}
