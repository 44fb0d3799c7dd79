/// Unicode scalars as pre-tokenizers see them, and the reading of scalars from UTF-8 bytes.

/// The kind of a scalar by its general category; every scalar has exactly one. Rules name sets of them.
struct ScalarKind: OptionSet {
  let rawValue: UInt16

  /// Lu and Lt.
  static let upper = ScalarKind(rawValue: 1)
  /// Ll.
  static let lower = ScalarKind(rawValue: 2)
  /// Lm and Lo.
  static let caseless = ScalarKind(rawValue: 4)
  /// M, the combining marks. They are no letters.
  static let mark = ScalarKind(rawValue: 8)
  /// N: digits, letter-like and other numbers.
  static let number = ScalarKind(rawValue: 16)
  static let punctuation = ScalarKind(rawValue: 32)
  static let symbol = ScalarKind(rawValue: 64)
  /// Property White_Space.
  static let space = ScalarKind(rawValue: 128)
  /// Controls, formats, private use, and what is not assigned.
  static let other = ScalarKind(rawValue: 256)

  static let letter: ScalarKind = [.upper, .lower, .caseless]
  /// Neither letter nor number nor space.
  static let rest: ScalarKind = [.mark, .punctuation, .symbol, .other]

  init(rawValue: UInt16) { self.rawValue = rawValue }

  init(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      self = Self.ascii[Int(scalar.value)]
    } else if scalar.value < 0x10000 {
      self = Self.plane[Int(scalar.value)]
    } else {
      self.init(properties: scalar.properties)
    }
  }

  private static let ascii = (0..<128).map { ScalarKind(properties: Unicode.Scalar(UInt8($0)).properties) }
  /// The basic multilingual plane, made when the first scalar beyond ASCII is met: asking for properties is slow.
  private static let plane = (0..<0x10000).map { value in
    Unicode.Scalar(UInt32(value)).map { ScalarKind(properties: $0.properties) } ?? .other
  }

  private init(properties: Unicode.Scalar.Properties) {
    switch properties.generalCategory {
    case .uppercaseLetter, .titlecaseLetter: self = .upper
    case .lowercaseLetter: self = .lower
    case .modifierLetter, .otherLetter: self = .caseless
    case .nonspacingMark, .spacingMark, .enclosingMark: self = .mark
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      self = .punctuation
    case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: self = .symbol
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
