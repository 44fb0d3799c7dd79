/// What a training run will need: memory by the plan, time by a short pass that is run and timed.

import Foundation
import Llama
import Tensors
import Training

struct TrainingForecast {
  let plan: TrainingPlan
  /// Bytes of the mapped file: every page of it is touched.
  let mapped: Int
  /// Bytes this process holds before it has read a weight: its code and the vocabulary, mostly.
  let program: Int

  /// All that will be resident.
  var bytes: Int { mapped + program + plan.bytes }

  init(_ plan: TrainingPlan, _ session: Session, program: Int) {
    self.plan = plan
    self.program = program
    mapped = session.file.tensors.reduce(0) { $0 + $1.byteCount }
  }

  var memory: String {
    let lines = [
      ("model, mapped", mapped, ""), ("program and vocabulary", program, "now"),
      ("adapter", plan.adapterBytes, "with gradients and AdamW's moments"),
      ("activations", plan.activationBytes, plan.keeping), ("head", plan.headBytes, ""),
      ("total", bytes, "\(mebibytes(plan.bytes)) beside model and program, for --memory"),
    ]
    return lines.map { name, bytes, remark in
      Self.row(name, mebibytes(bytes) + (remark.isEmpty ? "" : "  (\(remark))"))
    }.joined()
  }

  /// - Parameters:
  ///   - policy: with the adapter to train.
  ///   - groups: one for each pair of an epoch.
  /// - Throws: `LlamaError`.
  func time(_ policy: Policy, _ groups: [ScoredGroup], _ options: TrainerOptions) throws -> String {
    let (epochs, steps) = (options.epochs, options.steps(pairs: groups.count))
    let sample = groups[0].cut(prompt: 64, answer: 32)
    let seconds = try measure(policy, sample, options.backward)
    let (rows, tokens) = groups.reduce((0, 0)) { ($0.0 + $1.rows, $0.1 + $1.tokens) }
    let all = seconds / Double(sample.rows) * Double(rows * epochs)
    let step = all / Double(steps)
    return Self.row("steps", "\(steps), each pass of at most \(plan.rows) tokens, a pair's prompt counted once")
      + Self.row(
        "time",
        "\(Progress.clock(all)), \(String(format: "%.3g", step)) s a step, "
          + String(format: "%.4g tokens/s, prompts counted with each answer", Double(tokens * epochs) / all))
      + Self.row(
        "",
        "(as one pass of \(sample.rows) tokens took \(String(format: "%.3g", seconds)) s, forward and backward; without scoring "
          + "the pairs)")
  }

  /// Seconds of a forward and a backward, the second time: the first brings the weights into memory.
  private func measure(_ policy: Policy, _ group: ScoredGroup, _ backward: BackwardPrecision) throws -> Double {
    let pass = TrainingPass(policy, maximumRows: group.rows, kept: plan.kept, backward: backward)
    var seconds = 0.0
    for _ in 0..<2 {
      let start = ContinuousClock.now
      let logProbs = try pass.forward([group])
      pass.backward(weights: logProbs.map { $0.map { $0.map { _ in 1 } } })
      seconds = (ContinuousClock.now - start) / .seconds(1)
    }
    return seconds
  }

  private static func row(_ name: String, _ text: String) -> String {
    name.padding(toLength: 25, withPad: " ", startingAt: 0) + text + "\n"
  }
}

extension ScoredGroup {
  /// The first tokens of prompt and answers.
  fileprivate func cut(prompt tokens: Int, answer: Int) -> ScoredGroup {
    ScoredGroup(prompt: Array(prompt.prefix(tokens)), answers: answers.map { Array($0.prefix(answer)) })
  }
}
