/// One policy against another on the same prompts: win rate under an oracle, lengths, distance.

import Foundation
import Generation
import Llama
import Oracles
import Scoring
import Tokenization

/// What an evaluation found. Names are those of `report.json`.
public struct EvaluationResult: Codable, Equatable, Sendable {
  public var prompts: Int
  /// Share of the prompts where the policy's answer is preferred; a tie counts half.
  public var winRate: Double
  /// Wilson's 95 % interval of the win rate.
  public var ciLow: Double
  public var ciHigh: Double
  /// Mean of P(policy's answer ≻ other's answer): how clearly, not only how often.
  public var meanProbability: Double
  /// Tokens of an answer in the mean, the end token counted.
  public var meanTokens: Double
  public var referenceMeanTokens: Double
  /// Shares of answers that ended by themselves.
  public var finished: Double
  public var referenceFinished: Double
  /// KL(π‖π_ref): the mean of log π(y|x) − log π_ref(y|x) over the policy's own answers, in nats an answer. nil when the
  /// sampler changes the policy: over answers of another distribution that mean is no KL.
  public var kl: Double?

  enum CodingKeys: String, CodingKey {
    case prompts, finished, kl
    case winRate = "win_rate"
    case ciLow = "ci_low"
    case ciHigh = "ci_high"
    case meanProbability = "mean_probability"
    case meanTokens = "mean_tokens"
    case referenceMeanTokens = "reference_mean_tokens"
    case referenceFinished = "reference_finished"
  }
}

public enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case noPrompts

  public var description: String { "There are no prompts to evaluate on. Give a file with at least one." }
}

/// Samples answers from both policies with the same randomness, asks the oracle, and scores the policy's answers under the
/// reference.
public struct Evaluator {
  private let policy: Policy
  private let reference: Policy
  private let encoder: PromptEncoder
  private let options: GenerationOptions
  private let oracle: any PreferenceOracle

  public init(
    _ policy: Policy, against reference: Policy, encoder: PromptEncoder, options: GenerationOptions,
    oracle: any PreferenceOracle
  ) {
    self.policy = policy
    self.reference = reference
    self.encoder = encoder
    self.options = options
    self.oracle = oracle
  }

  /// - Parameters:
  ///   - samples: answers of each policy to each prompt; answer k meets answer k.
  ///   - onProgress: prompts done since the last call, over both policies: twice the prompts in all.
  /// - Throws: `EvaluationError.noPrompts`, `RecordFault` for a prompt that cannot be used, `CancellationError`, what the
  ///   oracle throws.
  public func run(
    _ prompts: [PromptRecord], samples: Int = 1, onProgress: (Int) -> Void = { _ in }
  ) async throws -> EvaluationResult {
    guard !prompts.isEmpty, samples > 0 else { throw EvaluationError.noPrompts }
    let ours = try answers(of: policy, prompts, samples, onProgress)
    let theirs = try answers(of: reference, prompts, samples, onProgress)
    // Answers to one prompt are not independent: a prompt is one verdict, the mean over its answers.
    var verdicts = WinRate()
    for (mine, other) in zip(ours, theirs) {
      var sum = 0.0
      for (a, b) in zip(mine.responses, other.responses) {
        sum += try await oracle.probability(that: Candidate(a), beats: Candidate(b), for: mine.prompt)
      }
      verdicts.add(sum / Double(samples))
    }
    return EvaluationResult(
      prompts: prompts.count, winRate: verdicts.rate, ciLow: verdicts.interval.low, ciHigh: verdicts.interval.high,
      meanProbability: verdicts.meanProbability,
      meanTokens: Self.mean(ours) { Double($0.tokenIDs.count) },
      referenceMeanTokens: Self.mean(theirs) { Double($0.tokenIDs.count) },
      finished: Self.mean(ours) { $0.finish == .stop ? 1 : 0 },
      referenceFinished: Self.mean(theirs) { $0.finish == .stop ? 1 : 0 },
      kl: options.sampler.isPolicyItself ? try distance(ours) : nil)
  }

  private func answers(
    of policy: Policy, _ prompts: [PromptRecord], _ samples: Int, _ onProgress: (Int) -> Void
  ) throws -> [ResponseRecord] {
    var records: [ResponseRecord] = []
    try PromptSampler(policy, encoder: encoder, options: options).run(prompts, samples: samples) {
      records.append($0)
      onProgress(1)
    }
    return records
  }

  /// The sampled log-probs are the policy's own, to the bit; only the reference has to be run.
  private func distance(_ records: [ResponseRecord]) throws -> Double {
    let requests = records.map {
      ScoreRequest(prompt: $0.promptIDs ?? [], responses: $0.responses.map(\.tokenIDs))
    }
    let logps = try Scorer(reference).logProbs(requests, isCancelled: options.isCancelled)
    return SampleMean.kl(
      policyLogps: records.flatMap { $0.responses.map { $0.logp ?? 0 } },
      referenceLogps: logps.joined().map(\.logProbSum)
    ).mean
  }

  private static func mean(_ records: [ResponseRecord], _ value: (Response) -> Double) -> Double {
    SampleMean(records.flatMap { $0.responses.map(value) }).mean
  }
}
