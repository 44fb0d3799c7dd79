/// A template cut into text and the tokens inside its tags. White space is treated as Hugging Face sets Jinja up:
/// `trim_blocks` (a line break after a tag goes) and `lstrip_blocks` (spaces before a tag that starts a line go).

enum Token: Equatable {
  case text(String)
  case tagBegin
  case tagEnd
  case outputBegin
  case outputEnd
  case name(String)
  case string(String)
  case int(Int)
  case float(Double)
  case symbol(String)
  case end

  /// For messages.
  var shown: String {
    switch self {
    case .text: "text"
    case .tagBegin: "'{%'"
    case .tagEnd: "'%}'"
    case .outputBegin: "'{{'"
    case .outputEnd: "'}}'"
    case .name(let name): "'\(name)'"
    case .string(let text): "the string '\(text)'"
    case .int(let value): "\(value)"
    case .float(let value): "\(value)"
    case .symbol(let symbol): "'\(symbol)'"
    case .end: "the end of the template"
    }
  }
}

struct Lexer {
  private let source: [UInt8]
  private var position = 0
  private var line = 1
  /// The last tag ended with a line break, or nothing came yet: what follows starts a line.
  private var atLineStart = true
  private var tokens: [(token: Token, line: Int)] = []

  /// - Returns: the tokens of `source` with their lines, the last being `.end`.
  static func tokens(of source: String) throws(TemplateError) -> [(token: Token, line: Int)] {
    var lexer = Lexer(source)
    while lexer.position < lexer.source.count { try lexer.scan() }
    lexer.tokens.append((.end, lexer.line))
    return lexer.tokens
  }

  /// Line breaks become LF and one at the very end is dropped, as in Jinja.
  private init(_ source: String) {
    var bytes: [UInt8] = []
    var last: UInt8 = 0
    for byte in source.utf8 {
      if byte == 0x0a, last == 0x0d {
        // the CR became LF already
      } else {
        bytes.append(byte == 0x0d ? 0x0a : byte)
      }
      last = byte
    }
    if bytes.last == 0x0a { bytes.removeLast() }
    self.source = bytes
  }

  // MARK: Text and tags

  private mutating func scan() throws(TemplateError) {
    let start = position
    var open = position
    while open < source.count, !(peek(open) == "{" && ["{", "%", "#"].contains(peek(open + 1))) { open += 1 }
    var text = source[start..<open]
    guard open < source.count else {
      append(text: text)
      position = open
      return
    }
    let kind = peek(open + 1)
    let sign = peek(open + 2)
    if sign == "-" {
      text = Self.trimmedRight(text)
    } else if sign != "+", kind != "{" {
      text = withoutIndent(text)
    }
    append(text: text)
    advance(to: open + (sign == "-" || sign == "+" && kind != "{" ? 3 : 2))
    switch kind {
    case "#": try skipComment()
    case "%":
      tokens.append((.tagBegin, line))
      try scanInside(close: "%", end: .tagEnd)
    default:
      tokens.append((.outputBegin, line))
      try scanInside(close: "}", end: .outputEnd)
    }
  }

  private mutating func append(text: ArraySlice<UInt8>) {
    if !text.isEmpty { tokens.append((.text(String(decoding: text, as: UTF8.self)), line)) }
  }

  private static func trimmedRight(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    Array(String(decoding: text, as: UTF8.self).stripped(left: false).utf8)[...]
  }

  /// `lstrip_blocks`: drops the spaces before a tag when nothing else stands before it on its line.
  private func withoutIndent(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let lineStart = text.lastIndex(of: 0x0a).map { $0 + 1 }
    guard let start = lineStart ?? (atLineStart ? text.startIndex : nil) else { return text }
    let isIndent = text[start...].allSatisfy { $0 == 0x20 || (0x09...0x0d).contains($0) }
    return isIndent ? text[..<start] : text
  }

  private mutating func skipComment() throws(TemplateError) {
    var close = position
    while close < source.count, !(peek(close) == "#" && peek(close + 1) == "}") { close += 1 }
    guard close < source.count else {
      throw .syntax(line: line, construct: "{# … #}", problem: "the comment is never closed")
    }
    let sign = close > position ? peek(close - 1) : " "
    advance(to: close + 2)
    finishTag(sign: sign, trims: true)
  }

  /// After a tag: `-` eats all white space, and `trim_blocks` one line break unless the tag ended with `+`.
  private mutating func finishTag(sign: Unicode.Scalar, trims: Bool) {
    let start = position
    if sign == "-" {
      while position < source.count {
        let (scalar, next) = decodeScalar(source[...], at: position)
        guard String.isPythonSpace(scalar) else { break }
        advance(to: next)
      }
    } else if trims, sign != "+", peek(position) == "\n" {
      advance(to: position + 1)
    }
    atLineStart = position > start && source[position - 1] == 0x0a
  }

  // MARK: Inside a tag

  private mutating func scanInside(close: Unicode.Scalar, end: Token) throws(TemplateError) {
    let startLine = line
    var open: [Unicode.Scalar] = []
    while position < source.count {
      let next = peek(position)
      if open.isEmpty {
        let sign: Unicode.Scalar = next == "-" || next == "+" && close == "%" ? next : " "
        let at = sign == " " ? position : position + 1
        if peek(at) == close, peek(at + 1) == "}" {
          tokens.append((end, line))
          advance(to: at + 2)
          finishTag(sign: sign, trims: close == "%")
          return
        }
      }
      switch next {
      case " ", "\t", "\n", "\u{0B}", "\u{0C}": advance(to: position + 1)
      case "'", "\"": try scanString(quote: next)
      case "0"..."9": try scanNumber()
      case "a"..."z", "A"..."Z", "_": scanName()
      default: try scanSymbol(next, &open)
      }
    }
    throw .syntax(
      line: startLine, construct: close == "%" ? "{% … %}" : "{{ … }}", problem: "the tag is never closed")
  }

  private mutating func scanName() {
    let start = position
    while Self.isWord(peek(position)) { position += 1 }
    tokens.append((.name(String(decoding: source[start..<position], as: UTF8.self)), line))
  }

  private mutating func scanNumber() throws(TemplateError) {
    let start = position
    while Self.isDigit(peek(position)) { position += 1 }
    var isFloat = false
    if peek(position) == ".", Self.isDigit(peek(position + 1)) {
      isFloat = true
      position += 1
      while Self.isDigit(peek(position)) { position += 1 }
    }
    if ["e", "E"].contains(peek(position)) {
      let digits = position + (["+", "-"].contains(peek(position + 1)) ? 2 : 1)
      if Self.isDigit(peek(digits)) {
        isFloat = true
        position = digits
        while Self.isDigit(peek(position)) { position += 1 }
      }
    }
    let text = String(decoding: source[start..<position], as: UTF8.self)
    if isFloat, let value = Double(text) {
      tokens.append((.float(value), line))
    } else if let value = Int(text), !Self.isWord(peek(position)) {
      tokens.append((.int(value), line))
    } else {
      throw .syntax(line: line, construct: "the number \(text)", problem: "it is too large or malformed")
    }
  }

  private mutating func scanSymbol(_ first: Unicode.Scalar, _ open: inout [Unicode.Scalar]) throws(TemplateError) {
    let two = String(String.UnicodeScalarView([first, peek(position + 1)]))
    if ["==", "!=", "<=", ">=", "//", "**"].contains(two) {
      tokens.append((.symbol(two), line))
      position += 2
      return
    }
    guard "+-*/%~()[]{}<>=.,:|".unicodeScalars.contains(first) else {
      throw .syntax(line: line, construct: "'\(first)'", problem: "this character has no meaning in a tag")
    }
    switch first {
    case "(", "[", "{": open.append(first)
    case ")", "]", "}":
      guard open.popLast() == (first == ")" ? "(" : first == "]" ? "[" : "{") else {
        throw .syntax(line: line, construct: "'\(first)'", problem: "it closes nothing")
      }
    default: break
    }
    tokens.append((.symbol(String(first)), line))
    position += 1
  }

  private mutating func scanString(quote: Unicode.Scalar) throws(TemplateError) {
    let start = position + 1
    let startLine = line
    var end = start
    while end < source.count, peek(end) != quote { end += peek(end) == "\\" ? 2 : 1 }
    guard end < source.count else {
      throw .syntax(line: startLine, construct: "a string", problem: "it is never closed")
    }
    tokens.append((.string(unescaped(source[start..<end])), startLine))
    advance(to: end + 1)
  }

  /// Python's escapes; a backslash before anything else stays.
  private func unescaped(_ text: ArraySlice<UInt8>) -> String {
    var scalars = String.UnicodeScalarView()
    var rest = String(decoding: text, as: UTF8.self).unicodeScalars[...]
    func number(_ count: Int, radix: Int) -> Unicode.Scalar? {
      let digits = rest.prefix(count)
      guard digits.count == count, let value = UInt32(String(digits), radix: radix) else { return nil }
      return Unicode.Scalar(value)
    }
    let simple: [Unicode.Scalar: Unicode.Scalar] = [
      "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{07}", "b": "\u{08}", "f": "\u{0C}",
      "v": "\u{0B}", "0": "\0",
    ]
    let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
    while let scalar = rest.popFirst() {
      guard scalar == "\\", let escape = rest.popFirst() else {
        scalars.append(scalar)
        continue
      }
      if let length = lengths[escape], let value = number(length, radix: 16) {
        scalars.append(value)
        rest = rest.dropFirst(length)
      } else if let value = simple[escape] {
        scalars.append(value)
      } else if escape != "\n" {  // a backslash at the end of a line joins the lines
        scalars.append(scalar)
        scalars.append(escape)
      }
    }
    return String(scalars)
  }

  // MARK: Small things

  /// NUL past the end. Bytes above ASCII show as themselves, which no construct uses.
  private func peek(_ index: Int) -> Unicode.Scalar { index < source.count ? Unicode.Scalar(source[index]) : "\0" }

  private mutating func advance(to end: Int) {
    for index in position..<min(end, source.count) where source[index] == 0x0a { line += 1 }
    position = min(end, source.count)
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
  }
}
