/// Pairs get the log-probs of π_ref and π_t once, before training, and carry them with the fingerprints of who made them.

import Adapters
import Llama
import Scoring
import Tensors
import Tokenization
import Training

public enum PairError: Error, Equatable, CustomStringConvertible {
  case noTokens(field: String)
  case notEncoded
  case otherPolicy(field: String)

  public var description: String {
    switch self {
    case .noTokens(let field):
      "Its '\(field)' is empty. Give at least one token, or leave the field out to have the text encoded."
    case .notEncoded: "A pair has no token ids. Encode it with the model's tokenizer first."
    case .otherPolicy(let field):
      "A pair's '\(field)' names another policy than the one given. Its log-probs were frozen with other weights: remove the "
        + "frozen fields to have them made again, or give the policy they were made with."
    }
  }
}

extension PairRecord {
  /// The same pair with token ids, those it has or those of its text, that `model` can score.
  ///
  /// - Throws: `TemplateError` and `PromptError` for a prompt that cannot be rendered, `PairError.noTokens`, `LlamaError` for
  ///   an id outside the vocabulary or a pair longer than the context.
  public func encoded(by encoder: PromptEncoder, for model: LlamaModel) throws -> PairRecord {
    let inputs = try TemplateInputs(extra)
    let prompt = try promptIDs ?? encoder.prompt(prompt, inputs)
    let chosen = try chosenIDs ?? encoder.response(chosen.lastText, after: self.prompt, inputs).ids
    let rejected = try rejectedIDs ?? encoder.response(rejected.lastText, after: self.prompt, inputs).ids
    try model.checkAnswers([("chosen_ids", chosen), ("rejected_ids", rejected)], to: prompt)
    var record = self
    (record.promptIDs, record.chosenIDs, record.rejectedIDs) = (prompt, chosen, rejected)
    return record
  }

  /// True when both answers are the same tokens: such a pair adds a constant to the loss.
  public var isEven: Bool { chosenIDs != nil && chosenIDs == rejectedIDs }

  fileprivate var withoutLogProbs: PairRecord {
    var record = self
    (record.referenceChosenLogps, record.referenceRejectedLogps) = (nil, nil)
    (record.lastChosenLogps, record.lastRejectedLogps) = (nil, nil)
    (record.referenceFingerprint, record.lastFingerprint) = (nil, nil)
    return record
  }

  /// True when both policies' log-probs are there.
  public var isFrozen: Bool {
    ![referenceChosenLogps, referenceRejectedLogps, lastChosenLogps, lastRejectedLogps].contains(nil)
  }

  /// With the frozen log-probs it has; the trainer knows whether its loss needs them.
  ///
  /// - Throws: `PairError.notEncoded` for a pair without token ids.
  public func trainingPair() throws -> TrainingPair {
    guard let promptIDs, let chosenIDs, let rejectedIDs, !promptIDs.isEmpty, !chosenIDs.isEmpty, !rejectedIDs.isEmpty
    else { throw PairError.notEncoded }
    var pair = TrainingPair(
      ScoredGroup(prompt: promptIDs, answers: [chosenIDs, rejectedIDs]), referenceChosen: referenceChosenLogps ?? .nan,
      referenceRejected: referenceRejectedLogps ?? .nan, lastChosen: lastChosenLogps ?? .nan,
      lastRejected: lastRejectedLogps ?? .nan, probability: probability, chosenWinRate: chosenWinRate,
      rejectedWinRate: rejectedWinRate)
    if case .string(let text) = id { pair.id = text } else { pair.id = try id.map { try JSONLines.text($0) } }
    return pair
  }
}

extension LlamaModel {
  /// - Throws: `PairError.noTokens`, or `LlamaError` for an id outside the vocabulary or an answer beyond the context.
  func checkAnswers(_ answers: [(field: String, ids: [TokenID])], to prompt: [TokenID]) throws {
    for (field, ids) in [("prompt_ids", prompt)] + answers {
      guard !ids.isEmpty else { throw PairError.noTokens(field: field) }
      for id in ids where id >= vocabularySize { throw LlamaError.token(id, vocabulary: vocabularySize) }
    }
    let needed = ScoreRequest(prompt: prompt, responses: answers.map(\.ids)).positions
    guard needed <= context else { throw LlamaError.contextExceeded(needed: needed, limit: context) }
  }
}

/// A policy with the name of its weights.
public struct NamedPolicy {
  public let policy: Policy
  /// SHA-256 over model file, precision, format of keys and values, and adapter. An adapter whose B is zero is the base, to the bit.
  public let fingerprint: String

  public init(_ policy: Policy, modelSHA256: String) {
    self.policy = policy
    let changes = policy.adapter.flatMap { $0.changesNothing ? nil : $0 }
    let adapter = changes.map { Fingerprint.of($0.canonicalBytes) } ?? "base"
    let arithmetic = "\(policy.model.precision.rawValue) \(policy.model.kv.rawValue)"
    fingerprint = Fingerprint.of("\(modelSHA256) \(arithmetic) \(adapter)".utf8)
  }
}

public enum FrozenPairs {
  /// The pairs an earlier run froze into the file `path`: nil unless they are `pairs`, frozen by these policies.
  public static func stored(
    in path: String, for pairs: [PairRecord], reference: NamedPolicy, last: NamedPolicy
  ) -> [PairRecord]? {
    guard let stored = try? JSONLines.read(PairRecord.self, from: path), stored.count == pairs.count else { return nil }
    let areSame = zip(stored, pairs).allSatisfy { old, new in
      old.isFrozen && old.referenceFingerprint == reference.fingerprint && old.lastFingerprint == last.fingerprint
        && old.withoutLogProbs == new.withoutLogProbs
    }
    return areSame ? stored : nil
  }

  /// Adds both policies' log-probs to encoded pairs. Pairs frozen already are checked against the fingerprints and kept.
  ///
  /// - Parameters:
  ///   - memory: bytes that may be held beside the model; a pair that needs more is scored by itself.
  ///   - onProgress: after each batch, how many of the other pairs are done.
  /// - Throws: `PairError`, `LlamaError`, `CancellationError`.
  public static func freeze(
    _ pairs: [PairRecord], reference: NamedPolicy, last: NamedPolicy, memory: Int? = nil,
    onProgress: (Int) -> Void = { _ in },
    isCancelled: () -> Bool = { Task.isCancelled }
  ) throws -> [PairRecord] {
    for pair in pairs where pair.isFrozen {
      if let made = pair.referenceFingerprint, made != reference.fingerprint {
        throw PairError.otherPolicy(field: "reference_fingerprint")
      }
      if let made = pair.lastFingerprint, made != last.fingerprint {
        throw PairError.otherPolicy(field: "last_fingerprint")
      }
    }
    let open = pairs.indices.filter { !pairs[$0].isFrozen }
    let requests = try open.map { index in
      let pair = pairs[index]
      guard let prompt = pair.promptIDs, let chosen = pair.chosenIDs, let rejected = pair.rejectedIDs else {
        throw PairError.notEncoded
      }
      return ScoreRequest(prompt: prompt, responses: [chosen, rejected])
    }
    // Both policies share each pass over the weights; in the first round they may be the same.
    let areSame = last.fingerprint == reference.fingerprint
    let policies = areSame ? [reference.policy] : [reference.policy, last.policy]
    let scored = try Scorer(policies, memory.map { ScorePlan(policies, memory: $0, isStrict: false) } ?? ScorePlan())
      .logProbsPerPolicy(requests, onProgress: onProgress, isCancelled: isCancelled)
    let (referenceLogps, lastLogps) = (scored[0], scored[areSame ? 0 : 1])

    var frozen = pairs
    for (i, index) in open.enumerated() {
      frozen[index].referenceChosenLogps = referenceLogps[i][0].logProbSum
      frozen[index].referenceRejectedLogps = referenceLogps[i][1].logProbSum
      frozen[index].lastChosenLogps = lastLogps[i][0].logProbSum
      frozen[index].lastRejectedLogps = lastLogps[i][1].logProbSum
      frozen[index].referenceFingerprint = reference.fingerprint
      frozen[index].lastFingerprint = last.fingerprint
    }
    return frozen
  }
}
