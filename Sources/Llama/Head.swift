import Tensors

/// From outputs to log-probabilities. Works through the vocabulary in tiles, so `[T, V]` is never in memory, forward or
/// backward. Log-sum-exp is the running-maximum form (Milakov & Gimelshein 2018, arXiv 1805.02867).
public struct Head {
  let model: LlamaModel
  private var kernels: Kernels { model.kernels }
  private var vocabulary: Int { model.vocabularySize }
  /// Rows worked on at once: bounds the tile `[rows, 1024]`.
  private static let rowChunk = 256

  public init(_ model: LlamaModel) { self.model = model }

  /// Bytes of working memory, backward included, beside what is given and returned.
  static func bytes(_ config: LlamaConfig, rows: Int) -> Int {
    let float = MemoryLayout<Float>.stride
    let perRow =
      float * (2 * config.dim + Kernels.vocabularyTile)
      + QuantizedRows.bytes(values: QuantizedRows.room(columns: config.dim))
    return min(rows, rowChunk) * perRow
  }

  /// What the backward needs of a forward.
  struct Tape {
    let targets: Buffer<UInt32>
    let logSum: Buffer<Float>
  }

  /// Natural-log probability of each target.
  ///
  /// - Parameters:
  ///   - hidden: `[T, D]`, after the final norm.
  ///   - targets: `T` token ids; `targets[t]` is the token that follows row `t`.
  /// - Returns: `T` values in nats: z_y − logsumexp(z) at temperature 1, in float.
  /// - Throws: `LlamaError.token` when an id is not below `V`.
  public func logProbs(_ hidden: Matrix, targets: [TokenID]) throws -> [Float] {
    try forward(hidden, targets: targets).logProbs
  }

  func forward(_ hidden: Matrix, targets: [TokenID]) throws -> (logProbs: [Float], tape: Tape) {
    precondition(targets.count == hidden.rows, "\(targets.count) targets for \(hidden.rows) rows")
    try model.check(targets)
    var logProbs: [Float] = []
    logProbs.reserveCapacity(targets.count)
    let allSums = Buffer<Float>(count: targets.count)
    forEachChunk(hidden) { first, input in
      let rows = input.rows
      let maximum = Buffer<Float>(count: rows)
      maximum.fill(-.infinity)
      let sum = Buffer<Float>(count: rows)
      var target = [Float](repeating: 0, count: rows)
      forEachTile(input) { firstToken, z, count in
        kernels.logSumExpTile(maximum, sum, z.pointer, stride: z.columns, rows: rows, count: count)
        for row in 0..<rows {
          let column = Int(targets[first + row]) - firstToken
          if (0..<count).contains(column) { target[row] = z[row, column] }
        }
      }
      let logSum = Buffer<Float>(count: rows)
      kernels.logSumExpFinish(logSum, maximum, sum, rows: rows)
      for row in 0..<rows {
        logProbs.append(target[row] - logSum[row])
        allSums[first + row] = logSum[row]
      }
    }
    return (logProbs, Tape(targets: Buffer(targets), logSum: allSums))
  }

  /// Gradient of Σ weight[t] · logp[t] with respect to `hidden`. The logits are computed again, tile by tile.
  func backward(_ hidden: Matrix, tape: Tape, weights: [Float]) -> Matrix {
    precondition(weights.count == hidden.rows, "\(weights.count) weights for \(hidden.rows) rows")
    let dHidden = Matrix(hidden.rows, hidden.columns)
    forEachChunk(hidden) { first, input in
      let rows = input.rows
      let range = first..<(first + rows)
      let logSum = Buffer(range.map { tape.logSum[$0] })
      let target = Buffer(range.map { tape.targets[$0] })
      let weight = Buffer(Array(weights[range]))
      let d = Matrix(rows, hidden.columns)
      forEachTile(input) { firstToken, z, count in
        kernels.logProbBackwardTile(
          z, logSum: logSum, weight: weight, target: target, first: firstToken, rows: rows, count: count)
        kernels.linearBackward(d, z, model.output.rows(firstToken..<(firstToken + count)), rows: rows)
      }
      (dHidden.pointer + first * d.columns).update(from: d.pointer, count: d.count)
    }
    return dHidden
  }

  /// Logits of every row over the whole vocabulary, for sampling, with their log-sum-exp.
  ///
  /// The bits are those of `logProbs`: logp of token `v` at row `t` is `logits[t, v] - logSum[t]`.
  public func logits(_ hidden: Matrix) -> (logits: Matrix, logSum: Buffer<Float>) {
    let rows = hidden.rows
    let logits = Matrix(rows, vocabulary)
    let maximum = Buffer<Float>(count: rows)
    maximum.fill(-.infinity)
    let sum = Buffer<Float>(count: rows)
    kernels.linear(logits, activations(hidden, first: 0, rows: rows), model.output)
    for tile in tiles() {
      kernels.logSumExpTile(
        maximum, sum, logits.pointer + tile.lowerBound, stride: vocabulary, rows: rows, count: tile.count)
    }
    let logSum = Buffer<Float>(count: rows)
    kernels.logSumExpFinish(logSum, maximum, sum, rows: rows)
    return (logits, logSum)
  }

  private func tiles() -> [Range<Int>] {
    stride(from: 0, to: vocabulary, by: Kernels.vocabularyTile).map {
      $0..<min($0 + Kernels.vocabularyTile, vocabulary)
    }
  }

  private func activations(_ hidden: Matrix, first: Int, rows: Int) -> Activations {
    let input = Activations(rows, hidden.columns, precision: model.precision)
    input.matrix.pointer.update(from: hidden.pointer + first * hidden.columns, count: rows * hidden.columns)
    input.update(rows: rows, kernels)
    return input
  }

  private func forEachChunk(_ hidden: Matrix, _ body: (Int, Activations) -> Void) {
    for first in stride(from: 0, to: hidden.rows, by: Self.rowChunk) {
      body(first, activations(hidden, first: first, rows: min(Self.rowChunk, hidden.rows - first)))
    }
  }

  /// Logits tile by tile: `body(first token, z [rows, 1024], tokens in this tile)`.
  private func forEachTile(_ input: Activations, _ body: (Int, Matrix, Int) -> Void) {
    let z = Matrix(input.rows, Kernels.vocabularyTile)
    for tile in tiles() {
      kernels.linear(z, input, model.output.rows(tile))
      body(tile.lowerBound, z, tile.count)
    }
  }
}

extension Sequence<Float> {
  /// Of the log-probs of its tokens, a sequence's log-probability: the sum in float64, in order.
  public var logProbSum: Double { reduce(0) { $0 + Double($1) } }
}
