/// The golden game played by a model: answers of one token, the real trainer, and a policy that must land where the
/// tables say. The restriction of π to the three answers is what counts; the pair loss sees log-ratios only.

import Adapters
import Foundation
import GGUF
import Generation
import INPO
import Llama
import Oracles
import Tensors
import TestSupport
import Testing
import Tokenization
import Training

@Suite struct TabularConvergenceTests {
  /// The golden case of the tabular tests, π_ref in the same order as the answers.
  private let game: TabularGame
  private let eta = 0.5
  private let prompt: [TokenID] = [1]
  private let answers: [TokenID] = [40, 90, 200]

  init() throws {
    game = try TabularGame(
      matrix: [[0.5, 0.8, 0.3], [0.2, 0.5, 0.9], [0.7, 0.1, 0.5]], reference: [0.5, 0.3, 0.2], tau: 0.1)
  }

  // MARK: The model

  /// A tiny model whose own probabilities of the answers are π_ref.
  ///
  /// The head is set by hand: each row is random, plus as much of the prompt's output h as gives it the wanted logit.
  private func model() throws -> LlamaModel {
    var tiny = TinyModel()
    tiny.dim = 32
    tiny.ffn = 32
    tiny.layers = 1
    tiny.heads = 2
    tiny.kvHeads = 1
    tiny.deviation = 0.2
    let headless = try load(tiny.writer())
    let h = try ForwardPass(headless)([Run(KVSequence(Policy(headless)), prompt, wanted: true)]).values
    let square = h.reduce(0) { $0 + $1 * $1 }
    var head: [Float] = []
    for token in 0..<tiny.vocab {
      let row = Seeded(9, "\(token)").normals(tiny.dim, deviation: 0.2)
      // The other tokens are unlikely, so that π_ref is the distribution itself, up to 256 · e⁻²⁰.
      let logit = answers.firstIndex(of: TokenID(token)).map { Float(log(game.reference[$0])) } ?? -20
      let missing = (logit - zip(row, h).reduce(0) { $0 + $1.0 * $1.1 }) / square
      head += zip(row, h).map { $0 + missing * $1 }
    }
    var writer = tiny.writer()
    writer.add(name: "output.weight", dimensions: [tiny.dim, tiny.vocab], floats: head)
    return try load(writer)
  }

  private func load(_ writer: GGUFWriter) throws -> LlamaModel {
    let path = try temporaryFolder() + "/game.gguf"
    try writer.write(to: path)
    guard let kernels = Kernels(threads: 1) else { preconditionFailure("there is always a best table") }
    return try LlamaModel(GGUFFile.open(path), precision: .f32, kernels: kernels)
  }

  /// log π of each answer.
  private func logProbs(_ policy: Policy) throws -> [Double] {
    let model = policy.model
    let hidden = try ForwardPass(model)(answers.map { _ in Run(KVSequence(policy), prompt, wanted: true) })
    return try Head(model).logProbs(hidden, targets: answers).map(Double.init)
  }

  /// π among the answers.
  private func distribution(_ logProbs: [Double]) -> [Double] {
    let weights = logProbs.map { exp($0) }
    return weights.map { $0 / weights.reduce(0, +) }
  }

  // MARK: A round

  private struct Label {
    let chosen: Int
    let rejected: Int
    let probability: Double?
  }

  /// Pairs as often as `draws` pairs of independent answers from `policy` give them; those of equal answers, which add a
  /// constant to the loss, are left out. Soft: the two orders count together, and the oracle's probability is the label.
  /// Else each verdict is a pair, as often as it falls.
  private func labels(_ policy: [Double], draws: Double, soft: Bool) -> [Label] {
    var labels: [Label] = []
    for y in 0..<3 {
      for other in 0..<3 where soft ? y < other : y != other {
        let probability = game.matrix[y][other]
        let share = 2 * policy[y] * policy[other] * (soft ? 1 : probability)
        let label = Label(chosen: y, rejected: other, probability: soft ? probability : nil)
        labels += [Label](repeating: label, count: Int((share * draws).rounded()))
      }
    }
    return labels
  }

  /// One round from `policy` as it is: frozen log-probs, then training to the minimum of the loss.
  private func round(_ policy: Policy, reference: [Double], labels: [Label]) throws {
    let last = try logProbs(policy)
    let pairs = labels.map { label in
      TrainingPair(
        ScoredGroup(prompt: prompt, answers: [[answers[label.chosen]], [answers[label.rejected]]]),
        referenceChosen: reference[label.chosen],
        referenceRejected: reference[label.rejected], lastChosen: last[label.chosen],
        lastRejected: last[label.rejected],
        probability: label.probability)
    }
    let options = TrainerOptions(
      batch: pairs.count, epochs: 120, schedule: Schedule(.cosine, peak: 0.02), maximumGradNorm: nil, memory: 1 << 26,
      rewardScale: eta, startsAtLast: true)
    try Trainer(
      policy, pairs: pairs, loss: INPOLoss(eta: eta, tau: game.tau), options: options, folder: temporaryFolder()
    ).run(resume: false)
  }

  private func start(_ model: LlamaModel) throws -> Policy {
    try Policy(
      model,
      adapter: .fresh(architecture: "llama", rank: 4, alpha: 8, seed: 3, shapes: model.adaptable))
  }

  // MARK: Tests

  @Test func theModelStartsAtTheReference() throws {
    let logProbs = try logProbs(start(model()))
    // Logits of size 1 made from 32 products of floats: some 2⁻²⁴ · √32 each, far below.
    expectClose(logProbs, game.reference.map { log($0) }, absolute: 1e-5)
  }

  /// From π_ref to π_2, π_3 and on towards π*, each round starting where the last one ended.
  @Test func softLabelsFollowTheTables() throws {
    let policy = try start(model())
    let reference = try logProbs(policy)
    let want = try game.run(rounds: 12, eta: eta).policies
    expectClose(want[1], [0.549535090, 0.259367767, 0.191097142], absolute: 1e-8)
    let nash = [0.530186423, 0.192368215, 0.277445362]
    var distance = TabularGame.kl(nash, game.reference)
    for t in 1...12 {
      let before = distribution(try logProbs(policy))
      try round(policy, reference: reference, labels: labels(before, draws: 60, soft: true))
      let after = distribution(try logProbs(policy))
      expectClose(after, want[t], absolute: 0.01, "round \(t)")
      #expect(TabularGame.kl(nash, after) < distance, "round \(t) should come closer to π*")
      distance = TabularGame.kl(nash, after)
    }
    #expect(distance < 0.1 * TabularGame.kl(nash, game.reference))
  }

  /// Bits instead of probabilities have the same minimum (Prop. 6). 500 draws give whole numbers of each verdict.
  @Test func verdictsLandOnTheSamePolicy() throws {
    let policy = try start(model())
    let reference = try logProbs(policy)
    try round(policy, reference: reference, labels: labels(game.reference, draws: 500, soft: false))
    expectClose(
      distribution(try logProbs(policy)), [0.549535090, 0.259367767, 0.191097142], absolute: 0.01)
  }

  /// The path of a real round: answers are sampled, judged, paired, frozen and trained on.
  @Test func aSampledRoundLandsOnTheSamePolicy() async throws {
    let model = try model()
    let policy = try start(model)
    let (reference, last) = (NamedPolicy(try Policy(model), modelSHA256: ""), NamedPolicy(policy, modelSHA256: ""))
    let oracle = try MatrixOracle(matrix: game.matrix, answers: answers.map { "\($0)" })

    let (prompts, samples) = (250, 8)
    let options = GenerationOptions(sampler: SamplerConfig(), seed: 7, maximumTokens: 1, endTokens: [])
    var records: [ResponseRecord] = []
    try Generator(policy, options).run(
      (0..<prompts).map { GenerationRequest(prompt: prompt, index: $0, samples: samples) }
    ) { _, found in
      let responses = found.map { Response(text: "\($0.tokens[0])", tokenIDs: $0.tokens, finish: .stop) }
      records.append(ResponseRecord(prompt: PromptRecord(prompt: .text("")), promptIDs: prompt, responses: responses))
    }
    var pairs: [PairRecord] = []
    for (index, record) in records.enumerated() {
      var random = CounterRandom(seed: 7, UInt64(index)).stream
      pairs += try await PairMode.soft.pairs(of: record, oracle: oracle, pairs: samples / 2, using: &random)
    }
    #expect(pairs.count == prompts * samples / 2)
    let frozen = try FrozenPairs.freeze(pairs, reference: reference, last: last)
    let training = TrainerOptions(
      batch: 250, epochs: 30, schedule: Schedule(.cosine, peak: 0.02), maximumGradNorm: nil, memory: 1 << 26,
      rewardScale: eta, startsAtLast: true)
    try Trainer(
      policy, pairs: frozen.map { try $0.trainingPair() }, loss: INPOLoss(eta: eta, tau: game.tau), options: training,
      folder: temporaryFolder()
    ).run(resume: false)

    // P(y ≻ π) is a mean over n answers of numbers in [0, 1]: its standard error is at most 1/(2√n), and π changes by at
    // most π(1−π) ≤ 1/4 of the error of P/η. Three of those: 0.017.
    let tolerance = 3 * 0.25 / (2 * eta * Double(prompts * samples).squareRoot())
    expectClose(
      distribution(try logProbs(policy)), [0.549535090, 0.259367767, 0.191097142], absolute: tolerance)
  }
}
