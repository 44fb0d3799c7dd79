import GGUF

/// The shape of a model of the family, read once from a file's metadata and checked once. Names of the keys: GGUF specification.
public struct LlamaConfig: Equatable, Sendable {
  /// Sizes of one block; in most models all blocks are alike.
  public struct Block: Hashable, Sendable {
    public let headCount: Int
    public let kvHeadCount: Int
    public let feedForward: Int
  }

  /// Numbers that Granite's models multiply by, at their places in the forward.
  public struct Scales: Equatable, Sendable {
    /// Of the products of queries and keys.
    public let attention: Float
    /// Of the embeddings, of what a block adds to the residual stream, of the logits: 1 in most models.
    public let embedding: Float
    public let residual: Float
    public let logits: Float
  }

  public let architecture: Architecture
  public let dim: Int
  public let blocks: [Block]
  public let headDim: Int
  public let contextLength: Int
  public let normEpsilon: Float
  public let rope: RopeConfig
  /// Positions that a row sees, its own included; nil: all before it.
  public let window: Int?
  public let scales: Scales

  public var blockCount: Int { blocks.count }
  // The most of any block.
  public var headCount: Int { blocks.reduce(0) { max($0, $1.headCount) } }
  public var kvHeadCount: Int { blocks.reduce(0) { max($0, $1.kvHeadCount) } }
  public var feedForward: Int { blocks.reduce(0) { max($0, $1.feedForward) } }
  public var queryDim: Int { headCount * headDim }

  /// - Throws: `LlamaError` for another architecture, a key that changes the arithmetic in a way we do not have, or sizes
  ///   that contradict each other; `GGUFError` for a missing or mistyped key.
  public init(_ metadata: GGUFMetadata) throws {
    architecture = try Architecture(named: metadata.string("general.architecture"))
    let keys = ArchitectureKeys(metadata, architecture.name)
    try keys.refuseUnsupported()

    dim = try keys.size("embedding_length", limit: Self.widest)
    contextLength = try metadata.positive(keys.name("context_length"))
    normEpsilon = try metadata.float(keys.name("attention.layer_norm_rms_epsilon"))
    guard normEpsilon.isFinite, normEpsilon > 0 else {
      throw LlamaError.inconsistent("the norm epsilon \(normEpsilon) is not a positive number")
    }

    let blockCount = try keys.size("block_count", limit: Self.deepest)
    let heads = try keys.perBlock("attention.head_count", blocks: blockCount, limit: Self.widest)
    let kvHeads = try keys.optionalPerBlock("attention.head_count_kv", blocks: blockCount, limit: Self.widest) ?? heads
    headDim = try Self.headDim(keys, dim: dim, heads: heads[0])
    let feedForward = try keys.perBlock("feed_forward_length", blocks: blockCount, limit: Self.widest)
    blocks = (0..<blockCount).map {
      Block(headCount: heads[$0], kvHeadCount: kvHeads[$0], feedForward: feedForward[$0])
    }
    for block in Set(blocks) where !block.headCount.isMultiple(of: block.kvHeadCount) {
      throw LlamaError.inconsistent(
        "\(block.headCount) query heads cannot share \(block.kvHeadCount) key/value heads")
    }

    rope = try RopeConfig(keys, contextLength: contextLength)
    // Granite alone has models without positions, and this is how it says so.
    let finetuned = keys.name("rope.scaling.finetuned")
    if architecture == .granite, try metadata.optionalBool(finetuned) == false {
      throw LlamaError.unsupported(key: finetuned)
    }
    window = try metadata.optionalInt(keys.name("attention.sliding_window")).flatMap { $0 == 0 ? nil : $0 }
    if let window, window < 1 { throw LlamaError.inconsistent("a sliding window of \(window) positions shows nothing") }
    scales = Scales(
      attention: try keys.scale("attention.scale") ?? 1 / Float(headDim).squareRoot(),
      embedding: try keys.scale("embedding_scale") ?? 1, residual: try keys.scale("residual_scale") ?? 1,
      logits: try keys.scale("logit_scale").map { 1 / $0 } ?? 1)  // the file has the divisor
  }

  private static func headDim(_ keys: ArchitectureKeys, dim: Int, heads: Int) throws -> Int {
    let headDim: Int
    if let length = try keys.metadata.optionalPositive(keys.name("attention.key_length")) {
      headDim = length
    } else {
      guard dim.isMultiple(of: heads) else {
        throw LlamaError.inconsistent("embedding length \(dim) is not a multiple of \(heads) heads")
      }
      headDim = dim / heads
    }
    guard headDim.isMultiple(of: 2), headDim <= 256 else {
      throw LlamaError.inconsistent("a head is \(headDim) wide; rotary heads are even and at most 256 wide")
    }
    for key in ["rope.dimension_count", "attention.value_length"] {
      guard let found = try keys.metadata.optionalPositive(keys.name(key)) else { continue }
      guard found == headDim else {
        throw LlamaError.inconsistent("\(keys.name(key)) is \(found), but a head is \(headDim) wide")
      }
    }
    return headDim
  }

  /// A thousand times the widest model there is; it keeps every product of two sizes far from overflow.
  private static let widest = 1 << 24
  /// Some hundred times the deepest: what is made for each block stays small.
  private static let deepest = 1 << 16
}
