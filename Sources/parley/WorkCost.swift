/// What a workload costs by counting: the least arithmetic and the least reading that its result needs. Divided by the
/// machine's peaks it gives the shares that `parley bench` prints.

import GGUF
import Generation
import Llama
import Tensors
import Training

struct WorkCost {
  /// Operations (a product and its addition are two) with quantised weights, done in the model's precision.
  var quantised = 0.0
  /// Operations in floats: float weights, attention, adapters.
  var float = 0.0
  /// Operations of gradients that pass frozen weights, in `int16`.
  var gradients = 0.0
  /// Bytes of weights, and of keys and values, that have to come from memory.
  var bytes = 0.0

  /// Seconds at the machine's peaks.
  func arithmetic(_ peak: MachinePeak, _ precision: Precision) -> Double {
    quantised / peak.operations(in: precision) + float / peak.operations(in: .f32)
      + gradients / peak.operations(in: .int16)
  }

  func reading(_ peak: MachinePeak) -> Double { bytes / (1e9 * peak.readGBs) }
}

/// The counts of one model.
struct ModelCost {
  /// Operations of one row, in linear layers of all blocks and in the head; then those of its gradient.
  private let linear: WorkCost
  private let head: WorkCost
  private let linearGradient: WorkCost
  private let headGradient: WorkCost
  /// Operations of a row for each position it sees.
  private let attention: Double
  /// Operations of a row in an adapter on all layers, for each rank.
  private let adapter: Double
  /// What a pass over all layers reads: of an embedding that is not also the output only a row.
  private let weightBytes: Double
  private let positionBytes: Double

  /// Rows that share one reading of the weights, as in `ForwardPass` and `Scorer`.
  private static let passRows = 512

  init(_ file: GGUFFile, _ model: LlamaModel) {
    func product(_ format: WeightFormat, _ rows: Int, _ columns: Int) -> WorkCost {
      let operations = 2 * Double(rows) * Double(columns)
      let isFloat = format.isFloat || model.precision == .f32
      return isFloat ? WorkCost(float: operations) : WorkCost(quantised: operations)
    }
    func gradient(_ format: WeightFormat, _ rows: Int, _ columns: Int) -> WorkCost {
      let operations = 2 * Double(rows) * Double(columns)
      return format.isFloat ? WorkCost(float: operations) : WorkCost(gradients: operations)
    }
    let ends = [model.tokenEmbd.name, model.output.name]
    var (layers, gradients) = (WorkCost(), WorkCost())
    for tensor in file.tensors where tensor.dimensions.count == 2 && !ends.contains(tensor.name) {
      guard let format = tensor.format else { continue }
      layers += product(format, tensor.dimensions[1], tensor.dimensions[0])
      gradients += gradient(format, tensor.dimensions[1], tensor.dimensions[0])
    }
    linear = layers
    linearGradient = gradients
    head = product(model.output.format, model.output.rows, model.output.columns)
    headGradient = gradient(model.output.format, model.output.rows, model.output.columns)
    attention = Double(4 * model.config.headDim * model.config.blocks.reduce(0) { $0 + $1.headCount })
    adapter = model.blockLayers.reduce(0) { $0 + 2 * Double($1.rows + $1.columns) }
    let all = file.tensors.reduce(0) { $0 + $1.byteCount }
    weightBytes = Double(model.isTied ? all : all - model.tokenEmbd.bytes.count)
    positionBytes = Double(KVSequence.pageBytes(model)) / Double(AttentionShape.pagePositions)
  }

  func cost(of workload: Workload) -> WorkCost {
    switch workload.shape {
    case .prefill(let tokens):
      var cost = forward(0..<tokens, wanted: 1)
      cost.bytes = weightBytes
      return cost
    case .decode(let sequences, let prompt, let tokens):
      let places = (prompt - 1)..<(prompt - 1 + tokens)
      var cost = Double(sequences) * forward(places, wanted: tokens)
      // The shared positions are read once for all, each sequence's own for itself.
      let own = sequences * tokens * (tokens + 1) / 2
      cost.bytes = Double(tokens) * weightBytes + Double((prompt - 1) * tokens + own) * positionBytes
      return cost
    case .score(let sequences, let prompt, let answer):
      var cost = Double(sequences) * forward(0..<(prompt + answer - 1), wanted: answer)
      cost.bytes = weightBytes * Double(sequences * (prompt + answer) / Self.passRows)
      return cost
    case .rollouts(let prompts, let samples, let tokens):
      var cost = WorkCost()
      var positions = 0
      for prompt in prompts {
        cost += forward(0..<(prompt - 1), wanted: 0)
        cost += Double(samples) * forward((prompt - 1)..<(prompt - 1 + tokens), wanted: tokens)
        positions += (prompt - 1) * tokens + samples * tokens * (tokens + 1) / 2
      }
      let inFlight = GenerationOptions.defaultSequences
      let passes = (prompts.count * samples + inFlight - 1) / inFlight * tokens
      cost.bytes = Double(passes) * weightBytes + Double(positions) * positionBytes
      return cost
    case .scorePairs(let pairs, let prompt, let answer, let policies):
      // The prompt's last token is run with each answer.
      let own = (prompt - 1)..<(prompt - 1 + answer)
      let rows = prompt - 1 + 2 * answer
      var cost = forward(0..<(prompt - 1), wanted: 0)
      cost += 2 * forward(own, wanted: answer)
      cost = Double(policies) * cost
      cost.float += Double((policies - 1) * rows * LoRAStep.rank) * adapter
      cost = Double(pairs) * cost
      cost.bytes = weightBytes * Double(policies * pairs * rows / Self.passRows)
      return cost
    case .train(let pairs, let prompt, let answer):
      // The prompt once, then both answers behind it.
      let own = prompt..<(prompt + answer - 1)
      let rows = prompt + 2 * own.count
      var cost = forward(0..<prompt, wanted: 0)
      cost += 2 * forward(own, wanted: answer)
      // A backward multiplies each layer's gradient by the frozen weight; attention's has four products to the
      // forward's two; an adapter's has its own gradients besides.
      cost += Double(rows) * linearGradient
      cost += Double(2 * answer) * headGradient
      let reach = seen(0..<prompt) + 2 * seen(own)
      cost.float += 2 * attention * reach + 3 * Double(rows * LoRAStep.rank) * adapter
      cost = Double(pairs) * cost
      let passes = MicroBatches(tokens: MicroBatches.defaultTokens, longest: rows)
        .ranges([Int](repeating: rows, count: pairs)).count
      cost.bytes = 2 * weightBytes * Double(passes)
      return cost
    }
  }

  /// Rows at `places` of a sequence; `wanted` of them go through the head.
  private func forward(_ places: Range<Int>, wanted: Int) -> WorkCost {
    var cost = Double(places.count) * linear
    cost += Double(wanted) * head
    cost.float += attention * seen(places)
    return cost
  }

  /// Positions that rows at `places` see together, their own included.
  private func seen(_ places: Range<Int>) -> Double {
    Double(places.count) * Double(places.lowerBound + 1 + places.upperBound) / 2
  }
}

extension WorkCost {
  fileprivate static func += (a: inout WorkCost, b: WorkCost) {
    a.quantised += b.quantised
    a.float += b.float
    a.gradients += b.gradients
    a.bytes += b.bytes
  }

  fileprivate static func * (times: Double, cost: WorkCost) -> WorkCost {
    WorkCost(
      quantised: times * cost.quantised, float: times * cost.float, gradients: times * cost.gradients,
      bytes: times * cost.bytes)
  }
}
