import Foundation
import Tensors
import Tokenization

/// "Don't repeat yourself": a token that would extend a repetition of `length` tokens loses multiplier · base^(length −
/// allowedLength) nats, once the length reaches what is allowed (p-e-w 2024, text-generation-webui pull request 5677).
public struct DRY: Equatable, Sendable, SamplerStage {
  /// In nats; 0 turns it off.
  public var multiplier: Double
  public var base: Double
  /// The shortest repetition that is punished.
  public var allowedLength: Int
  /// Positions looked back, the prompt's included; −1 for all.
  public var window: Int
  /// Tokens that no repetition reaches across, and that are not punished themselves.
  public var breakers: Set<TokenID>

  public init(
    multiplier: Double = 0, base: Double = 1.75, allowedLength: Int = 2, window: Int = -1, breakers: Set<TokenID> = []
  ) {
    self.multiplier = multiplier
    self.base = base
    self.allowedLength = allowedLength
    self.window = window
    self.breakers = breakers
  }

  /// Line break, colon, quote and star.
  public static let usualBreakers = ["\n", ":", "\"", "*"]

  var isOn: Bool { multiplier != 0 && window != 0 }

  func check() throws(SamplerError) {
    guard multiplier.isFinite, multiplier >= 0 else {
      throw .value("dry-multiplier", "\(multiplier)", "0 (off) or more")
    }
    guard base.isFinite, base >= 1 else { throw .value("dry-base", "\(base)", "1 or more") }
    guard allowedLength >= 1 else { throw .value("dry-allowed-length", "\(allowedLength)", "1 or more") }
    guard window >= -1 else { throw .value("dry-penalty-last-n", "\(window)", "from -1 (all)") }
  }

  func apply(to candidates: inout Candidates, _ situation: DrawSituation) {
    let lengths = repetitions(Array(situation.history.last(window)))
    guard !lengths.isEmpty else { return }
    candidates.setLogits { candidate in
      guard let length = lengths[candidate.token] else { return candidate.logit }
      let loss = multiplier * pow(base, Double(length - allowedLength))
      return Float(max(Double(candidate.logit) - loss, -Double(Float.greatestFiniteMagnitude)))
    }
  }

  /// For each token that came after an earlier occurrence of the last tokens: how many of them, at most, where it is enough.
  private func repetitions(_ history: [TokenID]) -> [TokenID: Int] {
    let reach = history.reversed().prefix { !breakers.contains($0) }.count
    guard reach >= allowedLength else { return [:] }
    var longest: [TokenID: Int] = [:]
    for (distance, common) in Self.selfOverlaps(history.reversed()).enumerated().dropFirst() {
      let length = min(common, reach)
      // The occurrence ends `distance` tokens before the end, so the token after it is the next one.
      let next = history[history.count - distance]
      if length >= allowedLength, !breakers.contains(next) { longest[next] = max(longest[next] ?? 0, length) }
    }
    return longest
  }

  /// How many tokens agree with the beginning, from each place on (the Z function, in linear time).
  private static func selfOverlaps(_ tokens: [TokenID]) -> [Int] {
    var overlaps = [Int](repeating: 0, count: tokens.count)
    var (start, end) = (0, 0)  // of the stretch found furthest to the right that equals the beginning
    for i in 1..<max(1, tokens.count) {
      var length = i < end ? min(end - i, overlaps[i - start]) : 0
      while i + length < tokens.count, tokens[length] == tokens[i + length] { length += 1 }
      if i + length > end { (start, end) = (i, i + length) }
      overlaps[i] = length
    }
    return overlaps
  }
}

extension Tokenizer {
  /// Every token whose text contains one of these texts.
  public func tokens(containing texts: [String]) -> Set<TokenID> {
    let wanted = texts.map { Array($0.utf8) }
    return Set(
      (0..<TokenID(vocabularySize)).filter { id in
        let bytes = bytes(of: id)
        return wanted.contains { bytes.firstRange(of: $0) != nil }
      })
  }
}
