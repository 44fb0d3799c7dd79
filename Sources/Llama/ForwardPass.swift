import Tensors

/// Tokens to append to one sequence in a pass.
public struct Run {
  public let sequence: KVSequence
  public let tokens: ArraySlice<TokenID>
  /// Whether the caller reads the output of these rows, or only wants them in the cache.
  public let wanted: Bool

  public init(_ sequence: KVSequence, _ tokens: some Collection<TokenID>, wanted: Bool) {
    self.sequence = sequence
    self.tokens = Array(tokens)[...]
    self.wanted = wanted
  }
}

/// Runs tokens of any number of sequences in one pass over the weights. Owns the working memory; one pass at a time.
///
/// Each sequence brings its own policy; the rows of one policy lie together, so that an adapter costs two thin products per
/// layer. No row's result depends on the other rows: not on their number, order, sequences or policies, nor on how a run is
/// cut.
public final class ForwardPass {
  public let model: LlamaModel
  public let maximumRows: Int
  private let block: BlockForward
  private let tapes: [LlamaConfig.Block: BlockTape]
  private var x: Matrix
  private var next: Matrix
  private let angles: RotaryAngles
  /// The adapters' inner products: all layers share the room, since nothing reads them later. Grows with the rank.
  private var low: Matrix

  /// - Parameter maximumRows: rows in the working memory; longer batches are cut, which changes no bit.
  public init(_ model: LlamaModel, maximumRows: Int = 512) {
    let config = model.config
    self.model = model
    self.maximumRows = maximumRows
    block = BlockForward(model, rows: maximumRows)
    let scratch = QuantizedRows(values: maximumRows * BlockTape.widest(config))
    tapes = BlockTape.each(model, rows: maximumRows, scratch: scratch)
    x = Matrix(maximumRows, config.dim)
    next = Matrix(maximumRows, config.dim)
    angles = RotaryAngles(config, rows: maximumRows)
    low = Matrix(maximumRows, 0)
  }

  /// Bytes of working memory, without pages.
  ///
  /// - Parameter ranks: the sum of the ranks of the adapted layers in one block, the largest such sum.
  public static func bytes(_ config: LlamaConfig, ranks: Int = 0, maximumRows: Int) -> Int {
    let perRow =
      BlockTape.rowBytesOfEach(config) + (3 * config.dim + ranks) * MemoryLayout<Float>.stride
      + QuantizedRows.bytes(values: BlockTape.widest(config))
    return maximumRows * perRow
  }

  /// Appends every run to its sequence.
  ///
  /// - Returns: the outputs of the wanted rows after the final norm, run by run.
  /// - Throws: `LlamaError` for a token outside the vocabulary or a sequence beyond the context; nothing is changed then.
  /// - Precondition: the sequences' policies are over this pass's model.
  public func callAsFunction(_ runs: [Run]) throws -> HiddenRows {
    try check(runs)
    let wanted = runs.reduce(0) { $0 + ($1.wanted ? $1.tokens.count : 0) }
    let output = Matrix(wanted, model.config.dim)
    for chunk in cut(groupedByPolicy(runs)) {
      forward(chunk)
      var row = 0
      for piece in chunk {
        if let outputRow = piece.outputRow {
          (output.pointer + outputRow * output.columns).update(
            from: x.pointer + row * x.columns, count: piece.tokens.count * x.columns)
        }
        row += piece.tokens.count
      }
    }
    let policies = [PolicyRows](runs.lazy.filter(\.wanted).map { ($0.sequence.policy, $0.tokens.count) })
    guard wanted > 0 else { return HiddenRows(output, policies: policies) }
    let normed = Matrix(wanted, model.config.dim)
    model.kernels.rmsNorm(normed, nil, output, model.outputNorm, eps: model.config.normEpsilon, rows: wanted)
    return HiddenRows(normed, policies: policies)
  }

  private func check(_ runs: [Run]) throws {
    var lengths: [ObjectIdentifier: Int] = [:]  // a sequence may come more than once
    for run in runs {
      precondition(run.sequence.policy.model === model, "a sequence of another model was given to this pass")
      try model.check(run.tokens)
      let needed = lengths[ObjectIdentifier(run.sequence), default: run.sequence.length] + run.tokens.count
      guard needed <= model.context else { throw LlamaError.contextExceeded(needed: needed, limit: model.context) }
      lengths[ObjectIdentifier(run.sequence)] = needed
    }
  }

  /// A run, or a part of one.
  private struct Piece {
    let sequence: KVSequence
    var tokens: ArraySlice<TokenID>
    /// Where its first output goes; nil when nobody reads it.
    var outputRow: Int?

    /// Splits off the first `count` tokens, or all there are.
    mutating func take(_ count: Int) -> Piece {
      var first = self
      first.tokens = tokens.prefix(count)
      tokens = tokens.dropFirst(count)
      outputRow = outputRow.map { $0 + first.tokens.count }
      return first
    }
  }

  /// The runs of each policy behind each other, in the order given.
  private func groupedByPolicy(_ runs: [Run]) -> [Piece] {
    var groups: [(policy: Policy, pieces: [Piece])] = []
    var row = 0
    for run in runs {
      let piece = Piece(sequence: run.sequence, tokens: run.tokens, outputRow: run.wanted ? row : nil)
      row += run.wanted ? run.tokens.count : 0
      if let group = groups.firstIndex(where: { $0.policy === run.sequence.policy }) {
        groups[group].pieces.append(piece)
      } else {
        groups.append((run.sequence.policy, [piece]))
      }
    }
    return groups.flatMap(\.pieces)
  }

  /// Cuts the pieces into chunks of at most `maximumRows` rows, in order.
  private func cut(_ pieces: [Piece]) -> [[Piece]] {
    var chunks: [[Piece]] = []
    var chunk: [Piece] = []
    var room = maximumRows
    for var rest in pieces {
      while !rest.tokens.isEmpty {
        let piece = rest.take(room)
        chunk.append(piece)
        room -= piece.tokens.count
        if room == 0 {
          chunks.append(chunk)
          (chunk, room) = ([], maximumRows)
        }
      }
    }
    return chunk.isEmpty ? chunks : chunks + [chunk]
  }

  /// One chunk through all blocks; its outputs are left in `x`.
  private func forward(_ pieces: [Piece]) {
    let layout = RowLayout(pieces.map { ($0.sequence, $0.tokens) }, angles: angles, model.rotary)
    let rank = layout.policies.reduce(0) { max($0, $1.policy.maximumRank) }
    if rank > low.columns { low = Matrix(maximumRows, rank) }
    for tape in tapes.values {
      for layer in tape.low.indices { tape.low[layer] = low }
    }
    EmbeddingLayer(model: model)(pieces.flatMap(\.tokens), into: x, policies: layout.policies)
    for (b, kind) in model.config.blocks.enumerated() {
      guard let tape = tapes[kind] else { preconditionFailure("no tape for block \(b)") }
      block(b, next, from: x, on: tape, at: layout.rows(block: b, angles))
      swap(&x, &next)
    }
  }
}

/// Where the rows of a batch lie: a segment per run, the runs of each policy, and the angles of every row. Extends the
/// sequences.
struct RowLayout {
  private let parts: [(sequence: KVSequence, firstRow: Int, rows: Int, firstPosition: Int)]
  /// Runs that follow each other under one policy are one entry.
  let policies: [PolicyRows]
  let rows: Int

  init(_ runs: [(KVSequence, ArraySlice<TokenID>)], angles: RotaryAngles, _ rotary: RotaryFrequencies) {
    var row = 0
    parts = runs.map { sequence, tokens in
      let start = sequence.length
      sequence.extend(by: tokens.count)
      for offset in 0..<tokens.count { rotary.turn(angles, row: row + offset, to: start + offset) }
      defer { row += tokens.count }
      return (sequence, row, tokens.count, start)
    }
    rows = row
    policies = [PolicyRows](parts.lazy.map { ($0.sequence.policy, $0.rows) })
  }

  func rows(block: Int, _ angles: RotaryAngles) -> BlockRows {
    let segments = SegmentList(
      parts.map {
        .init(
          firstRow: $0.firstRow, rows: $0.rows, firstPosition: $0.firstPosition, pages: $0.sequence.pages(block: block))
      })
    return BlockRows(rows: rows, policies: policies, angles: angles, attended: segments, written: segments)
  }
}
