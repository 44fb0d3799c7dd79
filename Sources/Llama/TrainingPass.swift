import Tensors

/// Forward and backward over scored groups: log-probs of the answers, then gradients of A and B.
///
/// The forward is the forward of `ForwardPass`, bit for bit, whatever is packed into one pass and though a prompt is run once for
/// all its answers. It keeps the inputs of all blocks, and of the last ones as much as `kept` says; the rest of their tapes is
/// computed again when the backward comes to it.
public final class TrainingPass {
  /// How many blocks, counted from the last, keep the activations of their attention and of their feed-forward.
  public struct Kept: Equatable, Sendable {
    public var attention: Int
    public var feedForward: Int

    public init(attention: Int, feedForward: Int) {
      self.attention = attention
      self.feedForward = feedForward
    }

    /// Everything is computed again.
    public static let nothing = Kept(attention: 0, feedForward: 0)
    public static func all(of model: LlamaModel) -> Kept {
      Kept(attention: model.config.blockCount, feedForward: model.config.blockCount)
    }
  }

  public let policy: Policy
  public let gradients: LoRAGradients
  public let maximumRows: Int
  private let head: Head
  private let block: BlockForward
  private let tapes: [BlockTape]
  private let rooms: [LlamaConfig.Block: BlockTape]
  /// The gradient of the residual stream: of `middle` on the way through a block.
  private let d: Matrix
  /// Where gradients become integers, in the room of the forward's activations, which no backward reads; nil in `f32`.
  private let integers: QuantizedRows?
  /// `inputs[b] [T, D]` goes into block `b`; the last one is the last block's output.
  private let inputs: [Matrix]
  private let angles: RotaryAngles
  private var current: Forwarded?
  /// Room for inputs some of whose values are dropped; made when it is first wanted.
  private lazy var dropoutRoom = Matrix(maximumRows, BlockTape.widest(policy.model.config))

  private struct Forwarded {
    let layout: GroupLayout
    let unnormed: Matrix
    let normed: HiddenRows
    let inverse: Buffer<Float>
    let head: Head.Tape
  }

  /// - Parameters:
  ///   - policy: has an adapter; its A and B get the gradients.
  ///   - maximumRows: rows of all groups of one pass together.
  ///   - backward: how gradients pass frozen weights.
  public init(_ policy: Policy, maximumRows: Int, kept: Kept, backward: BackwardPrecision = .int16) {
    guard let adapter = policy.adapter else { preconditionFailure("training needs an adapter") }
    let (model, config) = (policy.model, policy.model.config)
    self.policy = policy
    self.maximumRows = maximumRows
    gradients = LoRAGradients(adapter)
    head = Head(model)
    block = BlockForward(model, rows: maximumRows)
    let scratch = QuantizedRows(values: Self.integerValues(config, maximumRows: maximumRows))
    integers = backward == .int16 ? scratch : nil
    let spares = BlockTape.each(model, rows: maximumRows, scratch: scratch)
    tapes = policy.slots.enumerated().map { b, slots in
      let fromTheLast = config.blockCount - b
      var keeps: Set<BlockTape.Half> = []
      if fromTheLast <= kept.attention { keeps.insert(.attention) }
      if fromTheLast <= kept.feedForward { keeps.insert(.feedForward) }
      let kind = config.blocks[b]
      let tape = BlockTape(model, kind, rows: maximumRows, scratch: scratch, spare: spares[kind], keeps: keeps)
      tape.low = slots.map { $0.map { Matrix(maximumRows, $0.rank) } }
      return tape
    }
    rooms = BlockTape.each(model, rows: maximumRows, scratch: scratch)
    d = rooms.values.first?.middle ?? Matrix(maximumRows, config.dim)  // nothing else uses the middle of a room
    inputs = (0...config.blockCount).map { _ in Matrix(maximumRows, config.dim) }
    angles = RotaryAngles(config, rows: maximumRows)
  }

  /// Log-probs of the answer tokens, in nats: `result[group][answer][token]`.
  ///
  /// - Parameter dropout: of the adapter's inputs, in this forward and its backward; nil drops nothing, as everywhere else.
  /// - Throws: `LlamaError` for a token outside the vocabulary or an answer beyond the context.
  public func forward(_ groups: [ScoredGroup], dropout: Dropout? = nil) throws -> [[[Float]]] {
    let model = policy.model
    for group in groups {
      try model.check(group.prompt)
      for answer in group.answers { try model.check(answer) }
      guard group.positions <= model.context else {
        throw LlamaError.contextExceeded(needed: group.positions, limit: model.context)
      }
    }
    let layout = GroupLayout(groups, pageBytes: model.largestPageBytes)
    precondition(layout.rows <= maximumRows, "\(layout.rows) rows exceed the \(maximumRows) of this pass")
    for (row, position) in layout.positions.enumerated() { model.rotary.turn(angles, row: row, to: position) }
    let dropped = dropout.map { DropoutRows($0, keys: layout.keys(of: $0), room: dropoutRoom) }
    for tape in tapes { tape.dropout = dropped }
    EmbeddingLayer(model: model)(layout.tokens, into: inputs[0], policies: policies(layout))
    for b in 0..<model.config.blockCount {
      block(b, inputs[b + 1], from: inputs[b], on: tapes[b], at: place(layout))
    }

    let (targets, last) = (layout.targetRows, inputs[model.config.blockCount])
    let unnormed = Matrix(targets.count, model.config.dim)
    for (i, row) in targets.enumerated() { _ = unnormed.row(i).update(from: last.row(row)) }
    let normed = Matrix(targets.count, model.config.dim)
    let inverse = Buffer<Float>(count: targets.count)
    model.kernels.rmsNorm(
      normed, inverse, unnormed, model.outputNorm, eps: model.config.normEpsilon, rows: targets.count)
    let hidden = HiddenRows(normed, policy)
    let (logProbs, headTape) = try head.forward(
      hidden, targets: layout.targets, dropout: dropped?.rows(layout.targetRows))
    current = Forwarded(layout: layout, unnormed: unnormed, normed: hidden, inverse: inverse, head: headTape)
    var rest = logProbs[...]
    return groups.map { group in
      group.answers.map { answer in
        defer { rest = rest.dropFirst(answer.count) }
        return Array(rest.prefix(answer.count))
      }
    }
  }

  /// Adds the gradient of Σ weights[g][a][t] · logp[g][a][t] over the last forward's answers to `gradients`.
  public func backward(weights: [[[Float]]]) {
    guard let f = current else { preconditionFailure("backward needs a forward") }
    let model = policy.model
    let dNormed = head.backward(
      f.normed, tape: f.head, weights: Array(weights.joined().joined()), gradients.pair(TensorName.output),
      integers: integers)
    let dUnnormed = Matrix(dNormed.rows, dNormed.columns)
    model.kernels.rmsNormBackward(
      dUnnormed, dNormed, f.unnormed, model.outputNorm, f.inverse, rows: dNormed.rows)
    d.clear()  // a prompt's last row has a target in each answer
    for (i, row) in f.layout.targetRows.enumerated() {
      for (column, value) in dUnnormed.row(i).enumerated() { d.pointer[row * d.columns + column] += value }
    }

    let backward = BlockBackward(forward: block, policy: policy, gradients: gradients, integers: integers)
    let adapted = policy.slots.firstIndex { $0.contains { $0 != nil } } ?? model.config.blockCount
    let lowest = policy.embedding == nil ? adapted : 0
    for b in (lowest..<model.config.blockCount).reversed() {
      block.again(b, from: inputs[b], on: tapes[b], at: place(f.layout))
      guard let room = rooms[model.config.blocks[b]] else { preconditionFailure("no room for block \(b)") }
      backward(
        b, d, at: inputs[b], on: tapes[b], room: room, at: place(f.layout),
        needsInput: b > lowest || policy.embedding != nil)
    }
    if let slot = policy.embedding, let pair = gradients.pair(TensorName.tokenEmbd) {
      EmbeddingLayer(model: model).backward(from: d, at: f.layout.tokens, slot, pair)
    }
    current = nil
  }

  /// Activations of the widest layer, or gradients of its outputs, which are no wider; or a tile of logits.
  private static func integerValues(_ config: LlamaConfig, maximumRows: Int) -> Int {
    max(maximumRows * BlockTape.widest(config), Head.gradientValues)
  }

  private func policies(_ layout: GroupLayout) -> [PolicyRows] { [PolicyRows(policy: policy, rows: 0..<layout.rows)] }

  private func place(_ layout: GroupLayout) -> BlockRows {
    BlockRows(
      rows: layout.rows, policies: policies(layout), angles: angles, attended: layout.attended, written: layout.written)
  }
}

extension TrainingPass {
  /// Bytes a pass works in, beside the adapter and its gradients.
  public struct Bytes: Equatable, Sendable {
    /// What every pass needs: the inputs of all blocks, a tape, its gradients, keys and values of one block.
    public let base: Int
    /// Outputs and gradients at the targets, and a tile of the vocabulary.
    public let head: Int
    /// What each block adds that keeps its attention, or its feed-forward.
    public let attention: Int
    public let feedForward: Int

    /// - Parameters:
    ///   - ranks: the sum of the ranks of the adapted layers in one block, the largest such sum.
    ///   - targets, pages: most answer tokens and pages of one pass.
    ///   - drops: with dropout.
    public init(_ model: LlamaModel, ranks: Int, maximumRows: Int, targets: Int, pages: Int, drops: Bool = false) {
      let (config, float) = (model.config, MemoryLayout<Float>.stride)
      let kinds = Set(config.blocks).map { BlockTape.RowBytes(config, $0) }
      let residuals = float * (config.blockCount + 2) * config.dim
      let low = float * config.blockCount * ranks
      let perRow =
        2 * BlockTape.rowBytesOfEach(config) + residuals + low + RotaryAngles.rowBytes(config)
        + (drops ? float * BlockTape.widest(config) : 0)
      let integers = QuantizedRows.bytes(values: TrainingPass.integerValues(config, maximumRows: maximumRows))
      base = maximumRows * perRow + integers + pages * model.largestPageBytes
      head = targets * float * 4 * config.dim + Head.bytes(config, rows: targets)
      attention = maximumRows * (kinds.map(\.attention).max() ?? 0)
      feedForward = maximumRows * (kinds.map(\.feedForward).max() ?? 0)
    }
  }
}
