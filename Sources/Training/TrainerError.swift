/// What can stop a training run. One sentence each: what, where, what to do.

public enum TrainerError: Error, Equatable, CustomStringConvertible {
  case noPairs
  case noAdapter
  case nothingToDo
  case lacking(PairNeeds, pair: Int)
  case noAccuracy
  /// `longestPair` rows, which are the least a pass can have, would need `needsForIt` bytes.
  case memory(needs: Int, has: Int, longestPair: Int, needsForIt: Int)
  case frozenMismatch(pair: Int, found: [Double], frozen: [Double])
  case diverged(step: Int, skipped: Int, pairs: [Int])
  case otherRun(path: String, what: String)
  /// `reason` is a sentence; `checkpoint` the last one that is whole.
  case notWritten(reason: String, step: Int, checkpoint: String?)

  public var description: String {
    switch self {
    case .noPairs: "There are no pairs to train on. Give a file with at least one pair, or sample more prompts."
    case .noAdapter: "The policy has no adapter to train. Start a fresh one or name one with --policy."
    case .nothingToDo: "Batch, micro-batch tokens and epochs must be at least 1."
    case .noAccuracy:
      "The best adapter cannot be chosen by accuracy: the loss compares no answers with a reference. Choose it by loss."
    case .lacking(let needs, let pair) where needs.contains(.rejected):
      "Pair \(pair) has no rejected answer, and the loss compares two. Add it, or choose a loss on one answer (sft)."
    case .lacking(_, let pair):
      "Pair \(pair) has no frozen log-probs, and the loss needs them. Score it under the reference and the last policy first."
    case .memory(let needs, let has, let longestPair, let needsForIt):
      "Training needs at least \(mib(needs)) MiB beside the model, the budget is \(mib(has)) MiB. Raise --memory, "
        + (needsForIt < needs ? "lower --micro-batch-tokens (\(longestPair) needs \(mib(needsForIt)) MiB), " : "")
        + "lower --rank, or leave out the longest pairs (of up to \(longestPair) tokens)."
    case .frozenMismatch(let pair, let found, let frozen):
      "Pair \(pair) has frozen log-probs \(frozen), but the policy it starts from gives \(found). They were made by another "
        + "policy, model or precision: freeze them again with the policy you train."
    case .diverged(let step, let skipped, let pairs):
      "The last \(skipped) steps up to step \(step) had losses or gradients that are not finite, the last one with pairs "
        + "\(pairs). Begin again in a new folder, from the adapter this run started with: with a lower learning rate, or "
        + "without those pairs. They are in skipped.jsonl."
    case .otherRun(let path, let what):
      "Checkpoint '\(path)' belongs to a run that differs from this one in: \(what). Resume with the same inputs, or start in "
        + "a new folder."
    case .notWritten(let reason, let step, let checkpoint):
      "\(reason) Training stopped after step \(step). "
        + (checkpoint.map {
          "The checkpoint '\($0)' is whole: make room, then go on with the same command and --resume."
        }
          ?? "There is no checkpoint yet: make room, then start again.")
    }
  }

  private func mib(_ bytes: Int) -> Int { (bytes + (1 << 20) - 1) >> 20 }
}
