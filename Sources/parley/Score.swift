import ArgumentParser
import Llama
import Scoring
import Tokenization

struct Score: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compute log-probabilities of given answers, and their ratios to a reference.",
    discussion: """
      A line of the data holds a prompt with `response`, `responses`, or `chosen` and `rejected`; token ids
      (`prompt_ids`, `response_ids`, `token_ids`, `chosen_ids`, `rejected_ids`) win over text. Each line is printed with its
      scores added, in the same order.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "JSON lines to score.")
  var data: String

  @Option(help: "Score under this policy too: base, or an adapter.")
  var reference: ReferenceChoice?

  @Flag(help: "List every token's log-probability.")
  var perToken = false

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Option(help: "Write the records into this file instead, whole or not at all.")
  var out: String?

  func run() async throws {
    let session = try Session(model, noise, raw: raw)
    let scorer = RecordScorer(
      try session.policy(adapter, noise), reference: try reference?.policy(session.model), encoder: session.encoder,
      perToken: perToken)
    let file = try RecordFile<ScoreRecord>(data)
    let progress = Progress("Scoring", total: file.records.count, quiet: noise.quiet)
    var split = 0
    try await RecordSink.write(to: out) { sink in
      try file.naming { records in
        try scorer.run(records, isCancelled: { Interrupt.isReceived }) { scored in
          try sink.put(scored)
          progress.advance(1, tokens: scored.scores.reduce(0) { $0 + $1.logps.count })
          if scored.splitInsideToken { split += 1 }
        }
      }
    }
    if split > 0 && !noise.quiet {
      note(
        "In \(split) records the tokens of prompt and answer together do not begin with those of the prompt: "
          + "the cut falls inside a token. Give token ids to be exact.")
    }
  }
}
