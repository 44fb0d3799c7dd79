/// Judgements that are never asked for twice: in memory, and in a file when one is given, where each is kept as it is made.

import Crypto
import Foundation
import Tensors
import Tokenization

/// A line of the file: SHA-256 of the judge, the prompt and both answers, and P(a ≻ b).
private struct CachedJudgement: Codable {
  let key: String
  let probability: Double
}

/// The judgements of any number of judges over any number of runs.
public actor JudgementCache {
  private let path: String?
  private var known: [String: Double] = [:]
  private var file: AppendFile?
  private var isRead = false

  /// - Parameter path: JSON lines, read at the first question and made when it is not there; nil keeps them in memory only.
  public init(path: String? = nil) { self.path = path }

  func judgement(_ key: String) throws -> Double? {
    try open()
    return known[key]
  }

  func add(_ probability: Double, for key: String) throws {
    try open()
    known[key] = probability
    try file?.append(JSONLines.line(CachedJudgement(key: key, probability: probability)))
  }

  /// A killed program leaves at most one torn line, which is cut off.
  private func open() throws {
    guard !isRead else { return }
    guard let path else {
      isRead = true
      return
    }
    let bytes = FileSystem.exists(path) ? try AtomicFile.read(path) : []
    let whole = (bytes.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
    for judgement in try JSONLines.parse(CachedJudgement.self, Data(bytes[..<whole]), file: path) {
      known[judgement.key] = judgement.probability
    }
    file = try AppendFile(path, position: whole)
    isRead = true
  }
}

/// A judge whose answers are remembered: no question is put to it twice.
public struct CachedOracle: BatchOracle {
  public let name: String
  private let oracle: any PreferenceOracle
  private let identity: String
  private let ordersAgree: Bool
  private let cache: JudgementCache
  private let batch: Int

  /// - Parameters:
  ///   - identity: tells judges apart in the cache: the spec, and what stands behind it.
  ///   - ordersAgree: P(a ≻ b) answers for P(b ≻ a), too.
  ///   - batch: questions that are asked together, and lost together when the program is killed; of a streaming judge none is.
  public init(
    _ oracle: any PreferenceOracle, identity: String, ordersAgree: Bool, cache: JudgementCache, batch: Int = 64
  ) {
    name = oracle.name
    self.oracle = oracle
    self.identity = identity
    self.ordersAgree = ordersAgree
    self.cache = cache
    self.batch = batch
  }

  public func probabilities(_ questions: [Question]) async throws -> [Double] {
    let keys = try questions.map { (same: try key($0), swapped: try key($0.swapped)) }
    var open: [(key: String, question: Question)] = []
    var isOpen = Set<String>()
    for (question, key) in zip(questions, keys) where key.same != key.swapped {
      if isOpen.contains(key.same) || (ordersAgree && isOpen.contains(key.swapped)) { continue }
      if try await known(key) != nil { continue }
      isOpen.insert(key.same)
      open.append((key.same, question))
    }
    try await ask(open)
    var answers: [Double] = []
    for key in keys {
      // Equal answers are level, whatever a judge thinks of their places.
      guard let probability = try await key.same == key.swapped ? 0.5 : known(key) else {
        throw OracleError.noAnswer(oracle: name, reason: "it left a question out")
      }
      answers.append(probability)
    }
    return answers
  }

  private func known(_ key: (same: String, swapped: String)) async throws -> Double? {
    if let probability = try await cache.judgement(key.same) { return probability }
    guard ordersAgree, let probability = try await cache.judgement(key.swapped) else { return nil }
    return 1 - probability
  }

  private func ask(_ open: [(key: String, question: Question)]) async throws {
    if open.isEmpty { return }
    if let streaming = oracle as? any StreamingOracle {
      let keys = open.map(\.key)
      return try await streaming.answer(open.map(\.question)) { index, probability in
        try await keep(probability, keys[index])
      }
    }
    for start in stride(from: 0, to: open.count, by: batch) {
      try Task.checkCancellation()
      let part = open[start..<min(start + batch, open.count)]
      let answers = try await oracle.probabilities(part.map(\.question))
      guard answers.count == part.count else {
        throw OracleError.badAnswer(oracle: name, reason: "\(answers.count) answers to \(part.count) questions")
      }
      for (one, probability) in zip(part, answers) { try await keep(probability, one.key) }
    }
  }

  private func keep(_ probability: Double, _ key: String) async throws {
    guard (0...1).contains(probability) else {
      throw OracleError.badAnswer(oracle: name, reason: "\(probability) is not between 0 and 1")
    }
    try await cache.add(probability, for: key)
  }

  /// What a judge sees, and nothing else: not a record's id, nor token ids.
  private func key(_ question: Question) throws -> String {
    struct Seen: Encodable {
      let judge: String
      let prompt: PromptRecord.Content
      let a: String
      let b: String
      let finish: [Finish]
    }
    let seen = Seen(
      judge: identity, prompt: question.prompt.prompt, a: question.a.text, b: question.b.text,
      finish: [question.a.finish, question.b.finish])
    return SHA256.hash(data: Data(try JSONLines.text(seen).utf8)).map { byte in
      byte < 16 ? "0" + String(byte, radix: 16) : String(byte, radix: 16)
    }.joined()
  }
}
