import Llama
import Tensors

/// How scoring spends memory: rows of one pass over the weights, and keys and values held at once.
public struct ScorePlan: Sendable {
  /// Rows that share a pass.
  let passRows: Int
  /// For keys and values, and for results that wait for those before them.
  let pageBytes: Int
  /// What `pageBytes` is a part of: a request that needs more is an error; without it, such a request is run by itself.
  private let budget: Int?

  /// Some thousands of positions of a small model, about a thousand of one with 8 billion weights.
  public static let usualPageBytes = 256 << 20

  public init(passRows: Int = 512, pageBytes: Int = Self.usualPageBytes) {
    (self.passRows, self.pageBytes, budget) = (passRows, pageBytes, nil)
  }

  /// - Parameters:
  ///   - policies: those that share each pass.
  ///   - memory: bytes that may be held beside the model.
  ///   - isStrict: whether a request that needs more is refused, instead of run by itself.
  public init(_ policies: [Policy], memory: Int, isStrict: Bool = true) {
    let (config, ranks) = (policies[0].model.config, policies.map(\.blockRanks).max() ?? 0)
    func working(_ rows: Int) -> Int {
      // Beside the pass: its outputs, and what the head makes of them.
      ForwardPass.bytes(config, ranks: ranks, maximumRows: rows) + 2 * rows * config.dim * MemoryLayout<Float>.stride
        + Head.bytes(config, rows: rows)
    }
    passRows = working(512) <= memory / 2 ? 512 : 64
    pageBytes = max(0, memory - working(passRows))
    budget = isStrict ? memory : nil
  }

  /// - Throws: `ScoreError.memory` for a request that the budget has no room for.
  func check(_ bytes: Int) throws(ScoreError) {
    guard let budget, bytes > pageBytes else { return }
    throw .memory(needed: budget - pageBytes + bytes, budget: budget)
  }
}
