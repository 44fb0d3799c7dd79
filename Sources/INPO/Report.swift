/// `report.json` and `report.md`: what a run achieved, round by round. Takes numbers, asks nobody for them.

import Foundation
import Tensors

public struct Report: Codable, Equatable, Sendable {
  public struct Round: Codable, Equatable, Sendable {
    /// Against π_ref on held-out prompts, ties counting half, with its 95 % Wilson interval; `nil` when not evaluated.
    public var winRate: Double?
    public var low: Double?
    public var high: Double?
    /// Answer lengths of the new policy and of π_ref on the same prompts.
    public var meanTokens: Double?
    public var referenceMeanTokens: Double?
    /// KL(π‖π_ref) per answer, in nats, estimated from samples.
    public var kl: Double?
    /// Mean loss of the first and of the last optimiser step.
    public var lossFirst: Double?
    public var lossLast: Double?
    public var pairs: Int
    public var seconds: Seconds

    enum CodingKeys: String, CodingKey {
      case kl, pairs, seconds
      case winRate = "win_rate"
      case low = "ci_low"
      case high = "ci_high"
      case meanTokens = "mean_tokens"
      case referenceMeanTokens = "reference_mean_tokens"
      case lossFirst = "loss_first"
      case lossLast = "loss_last"
    }

    public init(
      winRate: Double? = nil, low: Double? = nil, high: Double? = nil, meanTokens: Double? = nil,
      referenceMeanTokens: Double? = nil, kl: Double? = nil, lossFirst: Double? = nil, lossLast: Double? = nil,
      pairs: Int, seconds: Seconds
    ) {
      self.winRate = winRate
      self.low = low
      self.high = high
      self.meanTokens = meanTokens
      self.referenceMeanTokens = referenceMeanTokens
      self.kl = kl
      self.lossFirst = lossFirst
      self.lossLast = lossLast
      self.pairs = pairs
      self.seconds = seconds
    }
  }

  /// Wall time by phase.
  public struct Seconds: Codable, Equatable, Sendable {
    public var sample: Double
    public var judge: Double
    public var score: Double
    public var train: Double
    public var evaluate: Double
    public var total: Double { sample + judge + score + train + evaluate }

    public init(sample: Double = 0, judge: Double = 0, score: Double = 0, train: Double = 0, evaluate: Double = 0) {
      self.sample = sample
      self.judge = judge
      self.score = score
      self.train = train
      self.evaluate = evaluate
    }
  }

  public var model: String
  public var oracle: String
  /// The last policy, and one adapter per round; paths within the run folder.
  public var adapter: String
  public var adapters: [String]
  public var seeds: [String: UInt64]
  public var versions: [String: String]
  public var rounds: [Round]

  public init(
    model: String, oracle: String, adapter: String, adapters: [String], seeds: [String: UInt64],
    versions: [String: String], rounds: [Round]
  ) {
    self.model = model
    self.oracle = oracle
    self.adapter = adapter
    self.adapters = adapters
    self.seeds = seeds
    self.versions = versions
    self.rounds = rounds
  }

  /// An answer of π_ref and one of the last policy to the same prompt.
  public struct Sample: Equatable, Sendable {
    public var prompt: String
    public var reference: String
    public var policy: String

    public init(prompt: String, reference: String, policy: String) {
      self.prompt = prompt
      self.reference = reference
      self.policy = policy
    }
  }

  public static func read(_ path: String) throws -> Report {
    try JSONDecoder().decode(Report.self, from: Data(AtomicFile.read(path)))
  }

  /// Writes `report.json`, `report.md` and `curves/*.svg` into `folder`, which exists.
  ///
  /// - Parameter losses: per round, the loss of every optimiser step.
  public func write(to folder: String, losses: [[Double]], samples: [Sample]) throws {
    try PrettyJSON.write(self, to: folder + "/report.json")
    let charts = charts(losses: losses)
    if !charts.isEmpty { try FileSystem.createFolder(folder + "/curves") }
    for (name, chart) in charts { try AtomicFile.write(Array(chart.svg.utf8), to: folder + "/curves/\(name).svg") }
    let text = markdown(charts: charts.map { ($0.name, $0.chart.title) }, samples: samples)
    try AtomicFile.write(Array(text.utf8), to: folder + "/report.md")
  }
}
