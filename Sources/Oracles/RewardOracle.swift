/// `reward:MODEL`, a model that gives every answer a score: P(a ≻ b) = σ(r_a − r_b) (Bradley & Terry). The score is read at the last
/// token of the conversation with the answer, its turn end; no header of another turn follows.

import Llama
import Tensors
import Tokenization

actor RewardOracle: BatchOracle {
  nonisolated let name: String
  private let source: OracleModel
  private let head: RewardHead
  private let policy: Policy
  private let pass: ForwardPass
  private var known: [Answer: Double] = [:]

  private struct Answer: Hashable {
    let prompt: PromptRecord.Content
    let text: String
  }

  /// Tokens whose keys and values are held at once.
  private static let tokensAtOnce = 4096

  /// - Throws: `OracleError.unusable` for a model without such a head, and what opening it throws.
  init(_ path: String, _ runtime: OracleRuntime) throws {
    name = "reward:\(path)"
    source = try OracleModel(path, runtime)
    guard let head = source.model.rewardHead else {
      throw OracleError.unusable(
        oracle: name, reason: "the file has no '\(TensorName.classifier)', the head of a reward model")
    }
    self.head = head
    policy = try Policy(source.model)
    pass = ForwardPass(source.model)
  }

  func probabilities(_ questions: [Question]) async throws -> [Double] {
    var open: [Answer] = []
    var isOpen = Set<Answer>()
    for question in questions {
      for text in [question.a.text, question.b.text] {
        let answer = Answer(prompt: question.prompt.prompt, text: text)
        if known[answer] == nil, isOpen.insert(answer).inserted { open.append(answer) }
      }
    }
    try score(open)
    return try questions.map { question in
      func reward(_ answer: Candidate) throws -> Double {
        guard let score = known[Answer(prompt: question.prompt.prompt, text: answer.text)] else {
          throw OracleError.noAnswer(oracle: name, reason: "a score is missing")
        }
        return score
      }
      return Preference.between(try reward(question.a), try reward(question.b))
    }
  }

  private func score(_ answers: [Answer]) throws {
    let ids = try answers.map { answer in
      try source.encoder.prompt(answer.prompt) + source.encoder.response(answer.text, after: answer.prompt).ids
    }
    var start = 0
    while start < answers.count {
      var (end, tokens) = (start, 0)
      while end < answers.count, end == start || tokens + ids[end].count <= Self.tokensAtOnce {
        tokens += ids[end].count
        end += 1
      }
      try Task.checkCancellation()
      var runs: [Run] = []
      for text in ids[start..<end] {
        let sequence = KVSequence(policy)
        runs.append(Run(sequence, text.dropLast(), wanted: false))
        runs.append(Run(sequence, text.suffix(1), wanted: true))
      }
      for (answer, score) in zip(answers[start..<end], head.scores(try pass(runs))) { known[answer] = score }
      start = end
    }
  }
}
