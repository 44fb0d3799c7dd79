/// Frozen weights under their GGUF names. Forward and Backward extend it; the adapter is a separate value, so one
/// model serves every policy.

/// The float64 model that fast code is compared with. A test reads the file with product code and hands the numbers over:
/// ```swift
/// let twin = TwinModel(config: config, floats: floats)  // every tensor dequantised: (rows, columns, values)
/// let lora = TwinLoRA(
///   a: TwinTensor(rows: rank, columns: inputs, floats: a), b: TwinTensor(rows: outputs, columns: rank, floats: b),
///   scale: Double(alpha) / Double(rank))
/// let adapter = TwinAdapter(["blk.0.attn_q.weight": lora])
/// let tape = twin.forward(tokens, adapter)  // logits, logProbs and every activation
/// let (gradient, d) = twin.backward(coefficients, at: tape, adapter)  // dA, dB; d.blocks[0].x is d embeddings
/// let step = twin.lossGradients(pairs, TwinINPO(eta: 0.005, ratio: 1.0 / 3), adapter)
/// ```
/// Cost: about 6 GFLOP/s on one core and 8 bytes a weight, so some tens of tokens of a 135M model take seconds.
public struct TwinModel: Sendable {
  public let config: TwinConfig
  public let weights: [String: TwinTensor]

  /// Names of the weights whose inputs are rounded to blocks of integers first, as precisions `int16` and `int8` do for
  /// weights in a block format; a quantised head counts under `headName`. Empty: exact arithmetic. Gradients pass straight
  /// through the rounding.
  public var roundedInputs: Set<String> = []
  /// Of the integers: 32767 in `int16`, 127 in `int8`.
  public var largestInteger: Double = 32767

  /// `weights` holds every tensor of `config`; without `output.weight` the head is the token embedding. Biases and norms of heads
  /// count where they are there.
  public init(config: TwinConfig, weights: [String: TwinTensor]) {
    self.config = config
    self.weights = weights
    for (name, rows, columns) in Self.shapes(config, tied: weights[TwinName.output] == nil) {
      let tensor = weight(name)
      precondition(
        tensor.rows == rows && tensor.columns == columns,
        "'\(name)' is [\(tensor.rows), \(tensor.columns)], expected [\(rows), \(columns)]")
    }
  }

  /// From dequantised floats, `rows` = ggml's ne1 and `columns` = ne0; vectors have one row. A tensor that the twin
  /// does not use is ignored, except `rope_freqs.weight`, which goes into the configuration.
  public init(config: TwinConfig, floats: [String: (rows: Int, columns: Int, values: [Float])]) {
    var config = config
    if let divisors = floats["rope_freqs.weight"] { config.ropeFreqs = divisors.values.map(Double.init) }
    let weights = floats.mapValues { TwinTensor(rows: $0.rows, columns: $0.columns, floats: $0.values) }
    self.init(config: config, weights: weights)
  }

  /// Uniform weights of variance 1/in, norms around 1, biases of the layers named. Every value is exact in Float.
  public static func random(
    _ config: TwinConfig, seed: UInt64, tied: Bool = false, biased: [TwinLinear] = [], normsHeads: Bool = false
  ) -> TwinModel {
    var random = TwinRandom(seed: seed)
    var weights: [String: TwinTensor] = [:]
    for (name, rows, columns) in shapes(config, tied: tied) {
      let isNorm = rows == 1
      let bound = isNorm ? 0.25 : (3 / Double(columns)).squareRoot()
      var tensor = random.tensor(rows, columns, bound: bound)
      for i in tensor.values.indices {
        tensor.values[i] = Double(Float(tensor.values[i] + (isNorm ? 1 : 0)))
      }
      weights[name] = tensor
    }
    for block in 0..<config.blockCount {
      for linear in biased {
        weights[linear.biasName(block)] = random.tensor(1, linear.shape(config.of(block)).rows, bound: 0.5)
      }
      for name in [TwinName.attnQNorm(block), TwinName.attnKNorm(block)] where normsHeads {
        var norm = random.tensor(1, config.headDim, bound: 0.5)
        for i in norm.values.indices { norm.values[i] = Double(Float(norm.values[i] + 1)) }
        weights[name] = norm
      }
    }
    return TwinModel(config: config, weights: weights)
  }

  /// Every tensor in file order: name and `[rows, columns]`.
  public static func shapes(_ config: TwinConfig, tied: Bool) -> [(name: String, rows: Int, columns: Int)] {
    var shapes = [(TwinName.tokenEmbd, config.vocabularySize, config.dim)]
    for block in 0..<config.blockCount {
      shapes.append((TwinName.attnNorm(block), 1, config.dim))
      shapes.append((TwinName.ffnNorm(block), 1, config.dim))
      for linear in TwinLinear.allCases {
        let (rows, columns) = linear.shape(config.of(block))
        shapes.append((linear.name(block), rows, columns))
      }
    }
    shapes.append((TwinName.outputNorm, 1, config.dim))
    if !tied { shapes.append((TwinName.output, config.vocabularySize, config.dim)) }
    return shapes
  }

  public func weight(_ name: String) -> TwinTensor {
    guard let tensor = weights[name] else { preconditionFailure("the model has no tensor '\(name)'") }
    return tensor
  }

  /// Name of the head's weight.
  public var headName: String { weights[TwinName.output] == nil ? TwinName.tokenEmbd : TwinName.output }
}
