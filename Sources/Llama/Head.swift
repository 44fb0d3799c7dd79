import Tensors

/// From outputs to log-probabilities. Works through the vocabulary in tiles, so `[T, V]` is never in memory, forward or
/// backward. Log-sum-exp is the running-maximum form (Milakov & Gimelshein 2018, arXiv 1805.02867).
public struct Head {
  let model: LlamaModel
  var kernels: Kernels { model.kernels }
  private var vocabulary: Int { model.vocabularySize }
  /// Rows worked on at once: bounds the tile `[rows, 1024]`.
  private static let rowChunk = 256
  /// Most values of a tile.
  static let gradientValues = rowChunk * QuantizedRows.room(columns: Kernels.vocabularyTile)

  public init(_ model: LlamaModel) { self.model = model }

  /// Bytes of working memory, backward included, beside what is given and returned.
  package static func bytes(_ config: LlamaConfig, rows: Int) -> Int {
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
    let dropout: DropoutRows?
  }

  /// Natural-log probability of each target.
  ///
  /// - Parameters:
  ///   - hidden: `T` rows.
  ///   - targets: `T` token ids; `targets[t]` is the token that follows row `t`.
  /// - Returns: `T` values in nats: z_y − logsumexp(z) at temperature 1, in float.
  /// - Throws: `LlamaError.token` when an id is not below `V`.
  public func logProbs(_ hidden: HiddenRows, targets: [TokenID]) throws -> [Float] {
    try forward(hidden, targets: targets).logProbs
  }

  /// - Parameter dropout: what an adapter on the head does not see of `hidden`.
  func forward(
    _ hidden: HiddenRows, targets: [TokenID], dropout: DropoutRows? = nil
  ) throws -> (logProbs: [Float], tape: Tape) {
    let (logProbs, logSums) = try sweep(hidden, targets: targets, dropout)
    return (logProbs, Tape(targets: Buffer(targets), logSum: logSums, dropout: dropout))
  }

  /// One way through the vocabulary: the log-prob of each target and the log-sum-exp of each row.
  ///
  /// - Parameter onTile: sees the logits on their way, `z [rows, tile]`: of some of the rows, of the tokens of a tile.
  func sweep(
    _ hidden: HiddenRows, targets: [TokenID], _ dropout: DropoutRows? = nil,
    onTile: (_ rows: Range<Int>, _ tokens: Range<Int>, _ z: Matrix) -> Void = { _, _, _ in }
  ) throws -> (logProbs: [Float], logSums: Buffer<Float>) {
    precondition(targets.count == hidden.rows, "\(targets.count) targets for \(hidden.rows) rows")
    try model.check(targets)
    var logProbs: [Float] = []
    logProbs.reserveCapacity(targets.count)
    let allSums = Buffer<Float>(count: targets.count)
    forEachChunk(hidden, dropout) { chunk in
      let rows = chunk.rows.count
      let maximum = Buffer<Float>(count: rows)
      maximum.fill(-.infinity)
      let sum = Buffer<Float>(count: rows)
      var target = [Float](repeating: 0, count: rows)
      forEachTile(chunk) { tile, z in
        kernels.logSumExpTile(maximum, sum, z.pointer, stride: z.columns, rows: rows, count: tile.count)
        for row in 0..<rows {
          let token = Int(targets[chunk.rows.lowerBound + row])
          if tile.contains(token) { target[row] = z[row, token - tile.lowerBound] }
        }
        onTile(chunk.rows, tile, z)
      }
      let logSum = Buffer<Float>(count: rows)
      kernels.logSumExpFinish(logSum, maximum, sum, rows: rows)
      for row in 0..<rows {
        logProbs.append(target[row] - logSum[row])
        allSums[chunk.rows.lowerBound + row] = logSum[row]
      }
    }
    return (logProbs, allSums)
  }

  /// Gradient of Σ weight[t] · logp[t] with respect to `hidden`, all of one policy. The logits are computed again, tile by
  /// tile.
  ///
  /// - Parameters:
  ///   - gradient: of an adapter on the head; is added to.
  ///   - integers: see `Kernels.linearBackward`; room for `gradientValues`.
  func backward(
    _ hidden: HiddenRows, tape: Tape, weights: [Float], _ gradient: LoRAGradients.Pair?, integers: QuantizedRows?
  ) -> Matrix {
    precondition(weights.count == hidden.rows, "\(weights.count) weights for \(hidden.rows) rows")
    let dHidden = Matrix(hidden.rows, hidden.matrix.columns)
    forEachChunk(hidden, tape.dropout) { chunk in
      let rows = chunk.rows.count
      let logSum = Buffer(chunk.rows.map { tape.logSum[$0] })
      let target = Buffer(chunk.rows.map { tape.targets[$0] })
      let weight = Buffer(Array(weights[chunk.rows]))
      let d = dHidden.rows(chunk.rows)
      let adapted = chunk.adapted.first
      let dLow = adapted.map { Matrix(rows, $0.slot.rank) }
      forEachTile(chunk) { tile, z in
        kernels.logProbBackwardTile(
          z, logSum: logSum, weight: weight, target: target, first: tile.lowerBound, rows: rows, count: tile.count)
        kernels.linearBackward(d, z, model.output.rows(tile), rows: rows, integers: integers)
        guard let adapted, let dLow, let gradient else { return }
        kernels.gemm(dLow, z, adapted.slot.module.b.rows(tile), rows: 0..<rows, accumulate: true)
        kernels.outer(gradient.b.rows(tile), z, adapted.low, tokens: rows, scale: 1)
      }
      guard let adapted, let dLow, let gradient else { return }
      layer.innerBackward(d, from: dLow, at: chunk.input.matrix, adapted.slot, gradient, rows: rows, chunk.dropout)
    }
    return dHidden
  }

  /// Logits of every row over the whole vocabulary, for sampling, with their log-sum-exp.
  ///
  /// The bits are those of `logProbs`: logp of token `v` at row `t` is `logits[t, v] - logSum[t]`.
  public func logits(_ hidden: HiddenRows) -> (logits: Matrix, logSum: Buffer<Float>) {
    let rows = hidden.rows
    let logits = Matrix(rows, vocabulary)
    let maximum = Buffer<Float>(count: rows)
    maximum.fill(-.infinity)
    let sum = Buffer<Float>(count: rows)
    multiply(logits, chunk(0..<rows, of: hidden), tokens: 0..<vocabulary)
    for tile in tiles() {
      kernels.logSumExpTile(
        maximum, sum, logits.pointer + tile.lowerBound, stride: vocabulary, rows: rows, count: tile.count)
    }
    let logSum = Buffer<Float>(count: rows)
    kernels.logSumExpFinish(logSum, maximum, sum, rows: rows)
    return (logits, logSum)
  }

  // MARK: Rows and tiles

  private var layer: LinearLayer { LinearLayer(weight: model.output, kernels: kernels) }

  /// Some of the rows, on their way through the vocabulary.
  private struct Chunk {
    /// Their places among all rows.
    let rows: Range<Int>
    let input: Activations
    /// Adapters on the head, the rows of this chunk that they are on, and x (sA)ᵀ of those.
    let adapted: [(slot: Policy.Slot, rows: Range<Int>, low: Matrix)]
    let dropout: DropoutRows?
  }

  private func chunk(_ rows: Range<Int>, of hidden: HiddenRows, _ dropout: DropoutRows? = nil) -> Chunk {
    let input = Activations(rows.count, hidden.matrix.columns, precision: model.precision)
    input.matrix.pointer.update(from: hidden.matrix.rows(rows).pointer, count: input.matrix.count)
    input.update(rows: rows.count, kernels)
    let dropout = dropout?.rows(rows)
    let adapted = hidden.policies.compactMap { part -> (slot: Policy.Slot, rows: Range<Int>, low: Matrix)? in
      let shared = part.rows.clamped(to: rows)
      guard let slot = part.policy.head, !shared.isEmpty else { return nil }
      let own = (shared.lowerBound - rows.lowerBound)..<(shared.upperBound - rows.lowerBound)
      let low = Matrix(rows.count, slot.rank)
      layer.inner(low, from: input.matrix, slot, rows: own, dropout)
      return (slot, own, low)
    }
    return Chunk(rows: rows, input: input, adapted: adapted, dropout: dropout)
  }

  private func forEachChunk(_ hidden: HiddenRows, _ dropout: DropoutRows?, _ body: (Chunk) -> Void) {
    for first in stride(from: 0, to: hidden.rows, by: Self.rowChunk) {
      body(chunk(first..<min(first + Self.rowChunk, hidden.rows), of: hidden, dropout))
    }
  }

  /// `z [rows, tokens]`: logits of these tokens.
  private func multiply(_ z: Matrix, _ chunk: Chunk, tokens: Range<Int>) {
    kernels.linear(z, chunk.input, model.output.rows(tokens))
    for (slot, rows, low) in chunk.adapted {
      kernels.gemm(z, low, slot.bT, rows: rows, columns: tokens, accumulate: true)
    }
  }

  /// Logits tile by tile: `body(tokens, z [rows, 1024])`.
  private func forEachTile(_ chunk: Chunk, _ body: (Range<Int>, Matrix) -> Void) {
    let z = Matrix(chunk.rows.count, Kernels.vocabularyTile)
    for tile in tiles() {
      multiply(z, chunk, tokens: tile)
      body(tile, z)
    }
  }

  private func tiles() -> [Range<Int>] {
    stride(from: 0, to: vocabulary, by: Kernels.vocabularyTile).map {
      $0..<min($0 + Kernels.vocabularyTile, vocabulary)
    }
  }
}

extension Sequence<Float> {
  /// Of the log-probs of its tokens, a sequence's log-probability: the sum in float64, in order.
  public var logProbSum: Double { reduce(0) { $0 + Double($1) } }
}
