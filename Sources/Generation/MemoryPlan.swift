import Llama
import Tensors

/// How a memory budget is spent: rows of working memory, and pages of keys and values.
struct MemoryPlan {
  /// Rows of one pass: decoded tokens, then as many of prompts as fit.
  let passRows: Int
  /// Rows whose logits are held at once.
  let headRows = 64
  /// Pages that fit beside the working memory.
  let pages: Int
  /// Bytes that a page takes from the budget. Answers end at different times, and the heap keeps some of what they leave
  /// between others' pages: up to a quarter more than is in use, as measured.
  private let pageCost: Int
  private let model: LlamaModel
  private let budget: Int

  init(_ policy: Policy, budget: Int) {
    model = policy.model
    pageCost = KVSequence.pageBytes(policy.model) * 5 / 4
    self.budget = budget
    let (config, vocabulary, headRows) = (policy.model.config, policy.model.vocabularySize, headRows)
    func working(_ rows: Int) -> Int {
      // Beside the pass: its outputs, raw and normed and as the head takes them; logits; and what the sampler keeps of a row,
      // at most eight numbers a token.
      ForwardPass.bytes(config, ranks: policy.blockRanks, maximumRows: rows)
        + (3 * rows * config.dim + (headRows + 8) * vocabulary) * MemoryLayout<Float>.stride
    }
    passRows = working(512) <= budget / 2 ? 512 : 64
    pages = max(0, budget - working(passRows)) / pageCost
  }

  /// Pages of a prompt, and those an answer to it adds at most. The prompt's whole pages are shared.
  func pages(of request: GenerationRequest, maximumTokens: Int) -> (prompt: Int, answer: Int) {
    let size = AttentionShape.pagePositions
    // The prompt's last token and the answer's are not written with the prompt, and not at all.
    let (prompt, all) = (request.prompt.count - 1, request.prompt.count - 1 + maximumTokens)
    return ((prompt + size - 1) / size, (all + size - 1) / size - prompt / size)
  }

  /// Whether a prompt and the longest answer it may get fit context and memory.
  func check(_ request: GenerationRequest, maximumTokens: Int) throws {
    guard !request.prompt.isEmpty else { throw LlamaError.emptySequence }
    let (needed, isHuge) = (request.prompt.count - 1).addingReportingOverflow(maximumTokens)
    guard !isHuge, needed <= model.context else {
      throw LlamaError.contextExceeded(needed: isHuge ? .max : needed, limit: model.context)
    }
    let pages = pages(of: request, maximumTokens: maximumTokens)
    let missing = pages.prompt + pages.answer - self.pages
    guard missing <= 0 else {
      throw GenerationError.memory(
        needed: max(budget, 0) + missing * pageCost, budget: budget)
    }
  }
}

public enum GenerationError: Error, Equatable, CustomStringConvertible {
  /// Bytes.
  case memory(needed: Int, budget: Int)

  public var description: String {
    switch self {
    case .memory(let needed, let budget):
      "One answer needs about \(needed >> 20) MiB beside the model, the budget is \(budget >> 20) MiB. Raise --memory, lower "
        + "--max-tokens, or keep keys and values smaller with --kv."
    }
  }
}
