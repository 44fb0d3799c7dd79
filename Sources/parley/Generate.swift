import ArgumentParser
import Foundation
import Generation
import Tokenization

struct Generate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Sample answers to prompts.",
    discussion: "Prints a JSON line for each prompt; with --prompt on a terminal, the text itself.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var sampling: SamplerOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "One prompt.")
  var prompt: String?

  @Option(help: "JSON lines with a prompt each.")
  var prompts: String?

  @Option(name: [.customShort("n")], parsing: .unconditional, help: "Answers to each prompt.")
  var samples = 1

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Option(help: "Write the records into this file instead, whole or not at all.")
  var out: String?

  @Flag(help: "JSON lines on a terminal too.")
  var json = false

  func check() throws {
    if (prompt == nil) == (prompts == nil) { throw ValidationError("Give either --prompt or --prompts.") }
    try Allowed.repetitions.check(samples, of: "-n")
  }

  func run() async throws {
    try check()
    try sampling.check()
    let session = try Session(model, noise, raw: raw)
    let sampler = PromptSampler(
      try session.policy(adapter, noise), encoder: session.encoder, options: session.generationOptions(sampling))
    if let prompts {
      let file = try RecordFile<PromptRecord>(prompts)
      try await RecordSink.write(to: out) { sink in try file.naming { try sample($0, sampler, into: sink) } }
    } else if let prompt {
      let records = [PromptRecord(prompt: .text(prompt))]
      do {
        if !json && out == nil && isatty(STDOUT_FILENO) != 0 {
          try show(records, sampler, session.tokenizer)
        } else {
          try await RecordSink.write(to: out) { try sample(records, sampler, into: $0) }
        }
      } catch let fault as RecordFault {
        throw fault.reason
      }
    }
  }

  private func sample(_ records: [PromptRecord], _ sampler: PromptSampler, into sink: RecordSink) throws {
    let progress = Progress("Sampling", total: records.count, quiet: noise.quiet)
    try sampler.run(
      records, samples: samples, onToken: { _, _, _ in progress.advance(tokens: 1) },
      onRecord: { record in
        try sink.put(record)
        progress.advance(1)
      })
  }

  /// A single answer is streamed; several are shown one after another.
  private func show(_ records: [PromptRecord], _ sampler: PromptSampler, _ tokenizer: Tokenizer) throws {
    var decoder = StreamingDecoder(tokenizer)
    try sampler.run(
      records, samples: samples,
      onToken: { _, _, token in
        if samples == 1 && !tokenizer.isSpecial(token) { try? Output.text(decoder.push(token)) }
      },
      onRecord: { record in
        if samples == 1 {
          try Output.line(decoder.flush())
        } else {
          for (k, response) in record.responses.enumerated() { try Output.line("[\(k + 1)] \(response.text)\n") }
        }
      })
  }
}
