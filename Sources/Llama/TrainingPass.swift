import Tensors

/// A token sequence whose tail is scored: `tokens[answer]` are the targets, everything before them is the prompt.
public struct ScoredSequence: Equatable, Sendable {
  public let tokens: [TokenID]
  /// Index of the first target; at least 1.
  public let answerStart: Int
  public var answer: ArraySlice<TokenID> { tokens[answerStart...] }

  /// - Precondition: both parts hold at least one token.
  public init(prompt: [TokenID], answer: [TokenID]) {
    precondition(!prompt.isEmpty && !answer.isEmpty, "a scored sequence needs a prompt and an answer")
    tokens = prompt + answer
    answerStart = prompt.count
  }
}

/// Forward and backward over whole sequences: log-probs of the answers, then gradients of A and B.
///
/// The forward is the forward of `ForwardPass`, bit for bit; it keeps the tapes of the first `kept` blocks, and the inputs of
/// all. The other blocks are computed again when the backward comes to them.
public final class TrainingPass {
  public let policy: Policy
  public let gradients: LoRAGradients
  public let maximumRows: Int
  private let kept: Int
  private let head: Head
  private let block: BlockForward
  private let tapes: [BlockTape]
  private let spare: BlockTape
  private let room: BlockTape
  /// `inputs[b] [T, D]` goes into block `b`; the last one is the last block's output.
  private let inputs: [Matrix]
  private let angles: RotaryAngles
  private var current: Forwarded?
  /// Room for inputs some of whose values are dropped; made when it is first wanted.
  private lazy var dropoutRoom = Matrix(maximumRows, BlockTape.widest(policy.model.config))

  private struct Forwarded {
    let layout: RowLayout
    let sequences: [ScoredSequence]
    /// Rows whose output predicts an answer token.
    let answerRows: [Int]
    let unnormed: Matrix
    let normed: HiddenRows
    let inverse: Buffer<Float>
    let head: Head.Tape
  }

  /// - Parameters:
  ///   - policy: has an adapter; its A and B get the gradients.
  ///   - maximumRows: tokens of all sequences of one pass together.
  ///   - kept: blocks whose tapes stay in memory, 0 to all.
  public init(_ policy: Policy, maximumRows: Int, kept: Int) {
    guard let adapter = policy.adapter else { preconditionFailure("training needs an adapter") }
    let config = policy.model.config
    self.policy = policy
    self.maximumRows = maximumRows
    self.kept = min(kept, config.blockCount)
    gradients = LoRAGradients(adapter)
    head = Head(policy.model)
    block = BlockForward(policy.model, rows: maximumRows)
    let scratch = QuantizedRows(values: maximumRows * BlockTape.widest(config))
    func tape() -> BlockTape { BlockTape(policy.model, rows: maximumRows, scratch: scratch) }
    tapes = (0..<self.kept).map { _ in tape() }
    spare = tape()
    room = tape()
    inputs = (0...config.blockCount).map { _ in Matrix(maximumRows, config.dim) }
    angles = RotaryAngles(config, rows: maximumRows)
    for (b, tape) in tapes.enumerated() { tape.low = matching(tape.low, b) }
  }

  /// Bytes of working memory: what every pass needs, and what each kept block adds.
  ///
  /// - Parameters:
  ///   - ranks: the sum of the ranks of the adapted layers in one block, the largest such sum.
  ///   - drops: with dropout.
  public static func bytes(
    _ model: LlamaModel, ranks: Int, maximumRows: Int, drops: Bool = false
  ) -> (base: Int, perKeptBlock: Int) {
    let config = model.config
    let tape = BlockTape.bytesPerRow(config, ranks: ranks)
    let inputs = (config.blockCount + 2) * config.dim * 4
    let pages = KVSequence.pageBytes(model) / AttentionShape.pagePositions
    let head = 2 * config.dim * 4 + Kernels.vocabularyTile * 4
    let dropped = drops ? BlockTape.widest(config) * 4 : 0
    let perRow = 2 * tape + inputs + pages + head + dropped + QuantizedRows.bytes(values: BlockTape.widest(config))
    return (maximumRows * perRow, maximumRows * tape)
  }

  /// Log-probs of the answer tokens of each sequence, in nats.
  ///
  /// - Parameter dropout: of the adapter's inputs, in this forward and its backward; nil drops nothing, as everywhere else.
  /// - Throws: `LlamaError` for a token outside the vocabulary or a sequence beyond the context.
  public func forward(_ sequences: [ScoredSequence], dropout: Dropout? = nil) throws -> [[Float]] {
    let model = policy.model
    for sequence in sequences {
      try model.check(sequence.tokens)
      let needed = sequence.tokens.count - 1
      guard needed <= model.context else { throw LlamaError.contextExceeded(needed: needed, limit: model.context) }
    }
    // The last token predicts nothing that is asked for.
    let runs = sequences.map { (KVSequence(policy), $0.tokens.dropLast()) }
    precondition(runs.reduce(0) { $0 + $1.1.count } <= maximumRows, "the sequences exceed \(maximumRows) rows")
    let layout = RowLayout(runs, angles: angles, model.rotary)
    let dropped = dropout.map { dropout in
      DropoutRows(dropout, keys: runs.flatMap { dropout.keys(of: $0.1) }, room: dropoutRoom)
    }
    for tape in tapes + [spare] { tape.dropout = dropped }
    model.embed(runs.lazy.flatMap(\.1), into: inputs[0])
    for b in 0..<model.config.blockCount { forward(b, layout) }

    var answerRows: [Int] = []
    var firstRow = 0
    for sequence in sequences {
      answerRows += (sequence.answerStart - 1..<sequence.tokens.count - 1).map { firstRow + $0 }
      firstRow += sequence.tokens.count - 1
    }
    let unnormed = Matrix(answerRows.count, model.config.dim)
    let last = inputs[model.config.blockCount]
    for (i, row) in answerRows.enumerated() { copy(last, row, to: unnormed, i) }
    let normed = Matrix(answerRows.count, model.config.dim)
    let inverse = Buffer<Float>(count: answerRows.count)
    model.kernels.rmsNorm(
      normed, inverse, unnormed, model.outputNorm, eps: model.config.normEpsilon, rows: answerRows.count)
    let hidden = HiddenRows(normed, policy)
    let (logProbs, headTape) = try head.forward(
      hidden, targets: sequences.flatMap { Array($0.answer) }, dropout: dropped?.rows(answerRows))
    current = Forwarded(
      layout: layout, sequences: sequences, answerRows: answerRows, unnormed: unnormed, normed: hidden,
      inverse: inverse, head: headTape)
    return split(logProbs, sequences)
  }

  /// Adds the gradient of Σ weights[s][t] · logp[s][t] over the last forward's answers to `gradients`.
  public func backward(weights: [[Float]]) {
    guard let f = current else { preconditionFailure("backward needs a forward") }
    let model = policy.model
    let rows = f.layout.rows
    let d = Matrix(rows, model.config.dim)
    let dNormed = head.backward(
      f.normed, tape: f.head, weights: weights.flatMap { $0 }, gradients.pair(TensorName.output))
    let dUnnormed = Matrix(dNormed.rows, dNormed.columns)
    model.kernels.rmsNormBackward(
      dUnnormed, dNormed, f.unnormed, model.outputNorm, f.inverse, rows: dNormed.rows)
    for (i, row) in f.answerRows.enumerated() { copy(dUnnormed, i, to: d, row) }

    let backward = BlockBackward(forward: block, policy: policy, gradients: gradients)
    let lowest = policy.slots.firstIndex { $0.contains { $0 != nil } } ?? model.config.blockCount
    for b in (lowest..<model.config.blockCount).reversed() {
      if b >= kept { forward(b, f.layout) }
      room.low = matching(room.low, b)
      backward(
        b, d, at: inputs[b], on: tape(b), room: room, segments: f.layout.segments(block: b), angles: angles,
        rows: rows, needsInput: b > lowest)
    }
    current = nil
  }

  private func forward(_ b: Int, _ layout: RowLayout) {
    if b >= kept { spare.low = matching(spare.low, b) }
    block(
      b, inputs[b + 1], from: inputs[b], on: tape(b), segments: layout.segments(block: b),
      policies: layout.policies, angles: angles, rows: layout.rows)
  }

  private func tape(_ b: Int) -> BlockTape { b < kept ? tapes[b] : spare }

  /// Room for the adapter's inner products in the ranks of block `b`: the old room where it fits.
  private func matching(_ low: [Matrix?], _ b: Int) -> [Matrix?] {
    zip(low, policy.slots[b]).map { old, slot in
      guard let rank = slot?.rank else { return nil }
      return old?.columns == rank ? old : Matrix(maximumRows, rank)
    }
  }

  private func copy(_ from: Matrix, _ row: Int, to: Matrix, _ target: Int) {
    (to.pointer + target * to.columns).update(from: from.pointer + row * from.columns, count: to.columns)
  }

  private func split(_ values: [Float], _ sequences: [ScoredSequence]) -> [[Float]] {
    var rest = values[...]
    return sequences.map { sequence in
      defer { rest = rest.dropFirst(sequence.answer.count) }
      return Array(rest.prefix(sequence.answer.count))
    }
  }
}
