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

/// Runs tokens of any number of sequences through one policy. Owns the working memory; one pass at a time.
///
/// No row's result depends on the other rows: not on their number, order or sequences, nor on how a run is cut.
public final class ForwardPass {
  public let policy: Policy
  public let maximumRows: Int
  private let block: BlockForward
  private let tape: BlockTape
  private var x: Matrix
  private var next: Matrix
  private let angles: RotaryAngles
  /// The adapter's inner products for each block; blocks share them, since nothing reads them later.
  private let low: [[Matrix?]]

  /// - Parameter maximumRows: rows in the working memory; longer batches are cut, which changes no bit.
  public init(_ policy: Policy, maximumRows: Int = 512) {
    let config = policy.model.config
    self.policy = policy
    self.maximumRows = maximumRows
    block = BlockForward(policy, rows: maximumRows)
    let scratch = QuantizedRows(values: maximumRows * BlockTape.widest(config))
    tape = BlockTape(policy, block: 0, rows: maximumRows, scratch: scratch)
    x = Matrix(maximumRows, config.dim)
    next = Matrix(maximumRows, config.dim)
    angles = RotaryAngles(config, rows: maximumRows)
    var byRank: [Int: Matrix] = [:]
    low = policy.slots.map { slots in
      slots.map { slot in
        guard let rank = slot?.rank else { return nil }
        let matrix = byRank[rank] ?? Matrix(maximumRows, rank)
        byRank[rank] = matrix
        return matrix
      }
    }
  }

  /// Bytes of working memory, without pages.
  ///
  /// - Parameter ranks: the sum of the ranks of the adapted layers in one block, the largest such sum.
  public static func bytes(_ config: LlamaConfig, ranks: Int = 0, maximumRows: Int) -> Int {
    let perRow = BlockTape.bytesPerRow(config, ranks: ranks) + 3 * config.dim * 4 + QuantizedRows.bytes(values: BlockTape.widest(config))
    return maximumRows * perRow
  }

  /// Appends every run to its sequence.
  ///
  /// - Returns: `[W, D]`, the outputs of the wanted rows after the final norm, run by run.
  /// - Throws: `LlamaError` for a token outside the vocabulary or a sequence beyond the context; nothing is changed then.
  public func callAsFunction(_ runs: [Run]) throws -> Matrix {
    let model = policy.model
    var lengths: [ObjectIdentifier: Int] = [:]  // a sequence may come more than once
    for run in runs {
      try model.check(run.tokens)
      let needed = lengths[ObjectIdentifier(run.sequence), default: run.sequence.length] + run.tokens.count
      guard needed <= model.context else { throw LlamaError.contextExceeded(needed: needed, limit: model.context) }
      lengths[ObjectIdentifier(run.sequence)] = needed
    }
    let wanted = runs.reduce(0) { $0 + ($1.wanted ? $1.tokens.count : 0) }
    let output = Matrix(wanted, model.config.dim)
    var written = 0
    for chunk in cut(runs) {
      let rows = forward(chunk)
      var row = 0
      for run in chunk {
        if run.wanted {
          (output.pointer + written * output.columns).update(
            from: x.pointer + row * x.columns, count: run.tokens.count * x.columns)
          written += run.tokens.count
        }
        row += run.tokens.count
      }
      precondition(row == rows)
    }
    guard wanted > 0 else { return output }
    let normed = Matrix(wanted, model.config.dim)
    model.kernels.rmsNorm(normed, nil, output, model.outputNorm, eps: model.config.normEpsilon, rows: wanted)
    return normed
  }

  /// Cuts the runs into chunks of at most `maximumRows` rows, in order.
  private func cut(_ runs: [Run]) -> [[Run]] {
    var chunks: [[Run]] = []
    var chunk: [Run] = []
    var room = maximumRows
    for run in runs {
      var rest = run.tokens
      while !rest.isEmpty {
        let piece = rest.prefix(room)
        chunk.append(Run(run.sequence, piece, wanted: run.wanted))
        rest = rest.dropFirst(piece.count)
        room -= piece.count
        if room == 0 {
          chunks.append(chunk)
          (chunk, room) = ([], maximumRows)
        }
      }
    }
    return chunk.isEmpty ? chunks : chunks + [chunk]
  }

  /// One chunk through all blocks; its outputs are left in `x`.
  private func forward(_ runs: [Run]) -> Int {
    let model = policy.model
    let layout = RowLayout(runs.map { ($0.sequence, $0.tokens) }, angles: angles, model.rotary)
    model.embed(runs.lazy.flatMap(\.tokens), into: x)
    for b in 0..<model.config.blockCount {
      tape.low = low[b]
      block(
        b, next, from: x, on: tape, segments: layout.segments(block: b), angles: angles,
        rows: layout.rows)
      swap(&x, &next)
    }
    return layout.rows
  }
}

/// Where the rows of a batch lie: a segment per run, and the angles of every row. Extends the sequences.
struct RowLayout {
  private let parts: [(sequence: KVSequence, firstRow: Int, rows: Int, firstPosition: Int)]
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
  }

  func segments(block: Int) -> SegmentList {
    SegmentList(
      parts.map {
        .init(
          firstRow: $0.firstRow, rows: $0.rows, firstPosition: $0.firstPosition, pages: $0.sequence.pages(block: block))
      })
  }
}

extension LlamaModel {
  /// Rows of the embedding, dequantised.
  func embed(_ tokens: some Sequence<TokenID>, into x: Matrix) {
    for (row, token) in tokens.enumerated() {
      let source = tokenEmbd.bytes.baseAddress.map { $0 + Int(token) * tokenEmbd.rowBytes }
      guard let source else { return }
      dequantize(x.pointer + row * x.columns, from: source, format: tokenEmbd.format, count: x.columns)
    }
  }
}
