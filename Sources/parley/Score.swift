import ArgumentParser
import Foundation
import Llama
import Scoring
import Tokenization

struct Score: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compute log-probabilities of given answers or texts, and their ratios to a reference.",
    discussion: """
      A line of the data holds a prompt with `response`, `responses`, or `chosen` and `rejected`; or a `text`, of which every
      token but the first is scored. Token ids (`prompt_ids`, `response_ids`, `token_ids`, `chosen_ids`, `rejected_ids`) win
      over text. Each line is printed with its scores added, in the same order.

      One adapter without a name, or none, gives fields of the record itself. Adapters with names, or several, share each
      pass over the weights; their scores stand in `policies` under their names, and the ratios there are to the reference.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var template: TemplateOptions
  @OptionGroup var noise: NoiseOptions

  @Option(help: "JSON lines to score.")
  var data: String?

  @Option(help: "Score this text as a whole, instead of --data. Any number of times.")
  var text: [String] = []

  @Option(
    help:
      "A LoRA adapter (GGUF, PEFT or MLX), FILE or FILE=SCALE, with a name NAME=FILE or NAME=FILE:SCALE; or base. Any number of times."
  )
  var adapter: [NamedAdapter] = []

  @Option(help: "Score under this policy too: base, an adapter, or the name of one of those above.")
  var reference: NamedAdapter?

  @Flag(help: "List every token's log-probability.")
  var perToken = false

  @Flag(help: "List the entropy of the distribution every token was predicted from, in nats.")
  var entropy = false

  @Option(parsing: .unconditional, help: "List this many of the most probable tokens in every place.")
  var top = 0

  @Flag(help: "Leave out records that cannot be scored; say which and why.")
  var skipBad = false

  @Option(help: "With --skip-bad: write line and reason of each left out into this file, as JSON lines.")
  var skipped: String?

  @Option(
    help:
      "Most memory beside the model, such as 4GiB; a record that needs more cannot be scored. Without it, 256MiB of keys and values, and more for a record that needs it."
  )
  var memory: MemorySize?

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Option(help: "Write the records into this file instead, whole or not at all.")
  var out: String?

  private func check() throws {
    if (data == nil) == text.isEmpty { throw ValidationError("Give either --data or --text.") }
    if skipped != nil && !skipBad { throw ValidationError("--skipped goes with --skip-bad.") }
    try (0...1000).check(top, of: "--top")
    let names = adapter.map(\.label)
    if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
      throw ValidationError("Two policies of --adapter are called '\(twice)'. Name them: --adapter NAME=FILE.")
    }
    if adapter.contains(where: { $0.name == NamedAdapter.base }) {
      throw ValidationError("The name 'base' is that of the model without an adapter. Choose another for --adapter.")
    }
  }

  func run() async throws {
    try check()
    let session = try Session(model, noise, raw: raw, inputs: template.inputs(raw: raw))
    let scorer = try recordScorer(session)
    guard let data else {
      let records = text.map(ScoreRecord.init(text:))
      return try await RecordSink.write(to: out) { sink in
        try scorer.run(records, isCancelled: { Interrupt.isReceived }) { try sink.put($0) }
      }
    }
    var file = try RecordFile<ScoreRecord>(data, skippingBad: skipBad)
    var tally = Tally(count: file.records.count, quiet: noise.quiet)
    func onFault(_ fault: RecordFault) throws {
      guard skipBad else { throw file.located(fault) }
      file.skip(fault)
    }
    try await RecordSink.write(to: out) { sink in
      try scorer.run(file.records, onFault: onFault, isCancelled: { Interrupt.isReceived }) { scored in
        try sink.put(scored)
        tally.add(scored)
      }
      if tally.records == 0 {
        let first = file.skipped.first.map { " Line \($0.line): \($0.reason)" } ?? ""
        throw Failure(.badData, "No record of '\(file.path)' can be scored.\(first)")
      }
    }
    tally.close()
    if noise.verbose {
      note(String(format: "Scoring held at most %.0f MiB, program and mapped model included.", PeakMemory.mebibytes))
    }
    guard skipBad else { return }
    if let skipped { try JSONLines.write(file.skipped.sorted { $0.line < $1.line }, to: skipped) }
    guard !noise.quiet else { return }
    if skipped == nil { file.noteSkipped() }
    note("\(tally.records) records scored, \(file.skipped.count) left out.")
  }

  private func recordScorer(_ session: Session) throws -> RecordScorer {
    let detail = ScoreDetail(perToken: perToken, entropy: entropy, top: top)
    let given = adapter.isEmpty ? [NamedAdapter(nil, nil)] : adapter
    if noise.verbose {
      for one in given { note("Policy \(one.label)\(one.adapter.map { ": \($0.path), scale \($0.scale)" } ?? "")") }
    }
    if given.count == 1 && given[0].name == nil {
      return RecordScorer(
        try given[0].policy(session.model), reference: try reference?.policy(session.model), encoder: session.encoder,
        detail: detail, memory: memory?.bytes)
    }
    var policies = try given.map { (name: $0.label, policy: try $0.policy(session.model)) }
    // A name means the policy that has it; else the reference is one more.
    let known = reference.flatMap { other in
      policies.first { $0.name == (other.adapter.map(\.path) ?? NamedAdapter.base) }?.name
    }
    if let reference, known == nil {
      if policies.contains(where: { $0.name == reference.label }) {
        throw ValidationError("'\(reference.label)' would be an adapter and the reference. Name them: NAME=FILE.")
      }
      policies.append((reference.label, try reference.policy(session.model)))
    }
    return RecordScorer(
      policies, reference: known ?? reference?.label, encoder: session.encoder, detail: detail, memory: memory?.bytes)
  }
}

/// What has been scored, for progress and the notes behind it.
private struct Tally {
  private let progress: Progress
  private let quiet: Bool
  private(set) var records = 0
  private var split = 0

  init(count: Int, quiet: Bool) {
    progress = Progress("Scoring", total: count, quiet: quiet)
    self.quiet = quiet
  }

  mutating func add(_ scored: ScoredRecord) {
    records += 1
    if scored.splitInsideToken { split += 1 }
    progress.advance(1, tokens: scored.distinctTokens)
  }

  func close() {
    if split > 0 && !quiet {
      note(
        "In \(split) records the tokens of prompt and answer together do not begin with those of the prompt: "
          + "the cut falls inside a token. Give token ids to be exact.")
    }
  }
}
