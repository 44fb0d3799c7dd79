import Tensors
import Tokenization

/// The text of one answer as its tokens come, up to a stop string. What may begin one is held back until it is known.
struct AnswerText {
  private let tokenizer: Tokenizer
  private let stops: [[UInt8]]
  private var decoder: StreamingDecoder
  private var atStart = true
  /// Bytes that are not given out yet: a beginning of a stop string.
  private var held: [UInt8] = []
  /// Whether a stop string has come; then nothing more is given out.
  private(set) var isStopped = false

  init(_ tokenizer: Tokenizer, stopStrings: [String]) {
    self.tokenizer = tokenizer
    stops = stopStrings.map { Array($0.utf8) }
    decoder = StreamingDecoder(tokenizer)
  }

  /// What can be shown with this token.
  mutating func push(_ token: TokenID) -> String {
    guard !isStopped, !tokenizer.isSpecial(token) else { return "" }
    held += tokenizer.bytes(of: token, atStart: &atStart)
    if let end = stops.compactMap({ held.firstRange(of: $0)?.lowerBound }).min() {
      isStopped = true
      held.removeLast(held.count - end)
      return finish()
    }
    let sure = held.count - beginningOfStop
    defer { held.removeFirst(sure) }
    return decoder.push(bytes: held[..<sure])
  }

  /// What is left when no more tokens come.
  mutating func finish() -> String {
    defer { held = [] }
    return decoder.push(bytes: held[...]) + decoder.flush()
  }

  /// How many bytes at the end of `held` a stop string begins with, at most.
  private var beginningOfStop: Int {
    let longest = min(held.count, (stops.lazy.map(\.count).max() ?? 1) - 1)
    return stride(from: longest, to: 0, by: -1).first { count in stops.contains { $0.starts(with: held.suffix(count)) }
    }
      ?? 0
  }
}
