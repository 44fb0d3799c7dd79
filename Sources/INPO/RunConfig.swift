/// The settings of a whole run, as a checked value. Names and defaults; `ConfigField` reads and writes them.

import Adapters
import Generation
import Llama
import Oracles
import Tensors
import Tokenization
import Training

public struct RunConfig: Equatable, Sendable {
  public enum LossName: String, CaseIterable, Sendable {
    case inpo, ipo
    /// IPO on means over tokens instead of sums.
    case ipoMean = "ipo-mean"
    /// IPO, the name for it on pairs from the policy in training, labelled by probabilities (`pairs: soft`).
    case onlineIPO = "online-ipo"
    case dpo, robust, hinge, sppo, simpo, sft

    /// β when none is given: SPPO's and SimPO's papers' (for Llama 3), TRL's for the others.
    var usualBeta: Double {
      switch self {
      case .sppo: 0.001
      case .simpo: 2.5
      default: 0.1
      }
    }
  }

  // What runs on what.
  public var model = ""
  public var prompts = ""
  public var reference = "base"
  public var oracle = "rule:concise"
  /// Of oracles that are commands or servers.
  public var oracleTimeout = 120.0
  public var oracleParallel = 8
  public var rounds = 3
  /// Prompts per round, each round the next ones; 0 shares all of them out evenly.
  public var promptsPerRound = 0
  public var raw = false
  /// How text is split before merging; nil is what the model file says.
  public var preTokenizer: PreTokenizer?

  // Sampling: the paper's recipe is K = 8 at temperature 1 without cuts.
  public var samples = 8
  public var sampling = SamplingSettings()

  // Pairs.
  public var pairs = PairMode.tournament
  /// For the independent modes.
  public var pairsPerPrompt = 1

  // The loss: η and τ/η are the paper's.
  public var loss = LossName.inpo
  public var eta = 0.005
  public var ratio = 1.0 / 3
  /// Of the other losses on pairs.
  public var beta = 0.1
  /// Of DPO and robust DPO: the share of wrong verdicts.
  public var labelSmoothing = 0.0
  /// Of SimPO; γ/β is 0.55 with its β.
  public var gamma = 1.375

  // The optimiser.
  public var learningRate = 1e-4
  public var schedule = Schedule.Shape.cosine
  public var warmUp = Schedule.WarmUp.ratio(0.03)
  public var epochs = 2
  public var batch = 32
  /// Rows of one pass of training.
  public var microBatchTokens = MicroBatches.defaultTokens
  public var optimizer = OptimizerName.adamW
  public var weightDecay = 0.0
  /// The learning rate of B over that of A.
  public var loraPlusRatio = 1.0
  /// 0 never clips.
  public var maxGradNorm = 1.0

  // The adapter.
  public var rank = 16
  public var alpha = 32.0
  public var targets = "all-linear"
  public var rslora = false
  /// `attn_q=8,ffn_down=32`; empty for none.
  public var rankPattern = ""
  public var alphaPattern = ""
  public var dropout = 0.0

  // Checkpoints.
  public var checkpointSteps = 50
  public var checkpointMinutes = 10.0
  public var checkpointKeep = 2
  public var maxSkippedSteps = 5

  // What can be seen of training.
  public var tensorBoard = ""

  // Evaluation on held-out pairs while training; none when empty.
  public var evalPairs = ""
  public var evalSteps = 50
  public var bestBy = HeldOut.Measure.loss
  /// 0 never stops early.
  public var earlyStop = 0

  // Evaluation on held-out prompts; none when empty.
  public var evaluatePrompts = ""
  public var evaluateSamples = 1
  public var evaluateTemperature = 1.0

  // The machine.
  public var precision = Precision.int16
  public var kv = KVFormat.f32
  public var backward = BackwardPrecision.int16
  /// 0 chooses.
  public var threads = 0
  /// Positions per sequence; 0 takes what the work needs.
  public var context = 0
  /// Bytes that sampling, scoring and training may each use beside the model; `nil` chooses.
  public var memory: Int?
  public var seed: UInt64 = 0

  public init() {}

  /// The loss this configuration names.
  public func makeLoss() throws(LossError) -> any PairLoss {
    switch loss {
    case .inpo: ratio == 0 ? try INPOLoss.withoutKL(eta: eta) : try INPOLoss(eta: eta, ratio: ratio)
    case .ipo, .onlineIPO: try IPOLoss(beta: beta)
    case .ipoMean: try IPOLoss(beta: beta, perToken: true)
    case .dpo: try DPOLoss(beta: beta, labelSmoothing: labelSmoothing)
    case .robust: try DPOLoss(beta: beta, labelSmoothing: labelSmoothing, isRobust: true)
    case .hinge: try HingeLoss(beta: beta)
    case .sppo: try SPPOLoss(beta: beta)
    case .simpo: try SimPOLoss(beta: beta, gamma: gamma)
    case .sft: SFTLoss()
    }
  }

  /// The settings that decide bits, as a checkpoint remembers what it was made from.
  public var fingerprints: [String: String] {
    Dictionary(uniqueKeysWithValues: deciding.map { ("the setting '\($0)'", $1) })
  }

  public func makeSchedule() -> Schedule { Schedule(schedule, peak: learningRate, warmUp: warmUp) }

  /// What an adapter trained by this configuration says about itself.
  ///
  /// - Parameters:
  ///   - modelSHA256: of the base's file.
  ///   - data: SHA-256 of the pairs.
  public func origin(over model: LlamaModel, modelSHA256: String, data: String) -> LoRAOrigin {
    var facts = ["method": loss.rawValue, "model": modelSHA256, "data": data]
    if loss == .inpo { facts.merge(["eta": "\(eta)", "tau": "\(ratio * eta)"]) { $1 } }
    return LoRAOrigin(base: model.name, facts: facts)
  }

  /// An adapter with this configuration's rank, alpha and targets that changes nothing yet.
  /// - Throws: `AdapterError` for a target that is not known or cannot be adapted, and for patterns that mean nothing.
  public func freshAdapter(for model: LlamaModel) throws(AdapterError) -> LoRAAdapter {
    let wanted = Set(try LoRATarget.parse(list: targets, isTied: model.isTied))
    let options = LoRAOptions(
      rank: rank, alpha: Float(alpha), rankPattern: try .ranks(rankPattern), alphaPattern: try .alphas(alphaPattern),
      isRankStabilised: rslora)
    return try LoRAAdapter.fresh(
      architecture: model.config.architecture.name, options: options, seed: seed,
      shapes: model.adaptable.filter { shape in
        LoRATarget.parse(tensorName: shape.name).map { wanted.contains($0.target) } ?? false
      })
  }
}

extension TrainerOptions {
  /// The training settings of a run file.
  public init(_ config: RunConfig, memory: Int, startsAtLast: Bool) {
    self.init(
      batch: config.batch, microBatchTokens: config.microBatchTokens, epochs: config.epochs,
      schedule: config.makeSchedule(),
      optimizer: config.optimizer.choice(weightDecay: config.weightDecay), loraPlusRatio: config.loraPlusRatio,
      dropout: config.dropout,
      maximumGradNorm: config.maxGradNorm == 0 ? nil : config.maxGradNorm, seed: config.seed,
      checkpointSteps: config.checkpointSteps,
      checkpointMinutes: config.checkpointMinutes == 0 ? nil : config.checkpointMinutes, memory: memory,
      rewardScale: config.loss == .inpo ? config.eta : config.beta, startsAtLast: startsAtLast)
    checkpointKeep = config.checkpointKeep
    maximumSkips = config.maxSkippedSteps
    tensorBoard = config.tensorBoard.isEmpty ? nil : config.tensorBoard
    backward = config.backward
  }
}

extension HeldOut {
  /// - Parameter pairs: with log-probs frozen by the policies that froze the training pairs.
  public init(_ config: RunConfig, pairs: [TrainingPair]) {
    self.init(
      pairs: pairs, steps: config.evalSteps, bestBy: config.bestBy,
      patience: config.earlyStop == 0 ? nil : config.earlyStop)
  }
}
