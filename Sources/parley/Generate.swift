import ArgumentParser
import Foundation
import Generation
import INPO
import Llama
import Scoring
import Tokenization

struct Generate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Sample answers to prompts.",
    discussion: "Prints a JSON line for each prompt; with --prompt on a terminal, the text itself.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var sampling: SamplerOptions
  @OptionGroup var batch: BatchOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "One prompt.")
  var prompt: String?

  @Option(help: "JSON lines with a prompt each.")
  var prompts: String?

  @Option(name: [.customShort("n")], parsing: .unconditional, help: "Answers to each prompt.")
  var samples = 1

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Answer with one of these texts, drawn by its log-probability (with --temperature 0 the best), and rank them.",
      valueName: "text"))
  var choices: [String] = []

  @Flag(help: "Take prompts as they are, without the chat template.")
  var raw = false

  @Option(help: "Write the records into this file instead, whole or not at all.")
  var out: String?

  @Flag(help: "Go on with what an interrupted run has left for --out.")
  var resume = false

  @Flag(help: "Leave out prompts that cannot be used, name and count them, and answer the others.")
  var skipBad = false

  @Flag(help: "JSON lines on a terminal too.")
  var json = false

  func check() throws {
    if (prompt == nil) == (prompts == nil) { throw ValidationError("Give either --prompt or --prompts.") }
    if resume && (prompts == nil || out == nil) { throw ValidationError("--resume needs --prompts and --out.") }
    if skipBad && prompts == nil { throw ValidationError("--skip-bad needs --prompts.") }
    try Allowed.repetitions.check(samples, of: "-n")
    try batch.check()
  }

  func run() async throws {
    try check()
    try sampling.check()
    let session = try Session(model, noise, raw: raw)
    let work = Work(self, session, policy: try session.policy(adapter, noise), options: try options(session))
    if let prompts {
      let file = try RecordFile<PromptRecord>(prompts, skippingBad: skipBad)
      if let out {
        let output = try ResumableFile(out, resume: resume) { try fingerprints(work) }
        let prepared: [PromptSampler.Prepared]
        do { prepared = try work.prepare(file) } catch {
          if !resume { try output.discard() }
          throw error
        }
        try output.write(answersTo: prepared, samples: samples) { try file.naming(work, prepared, from: $0, $1) }
      } else {
        let prepared = try work.prepare(file)
        try await RecordSink.write(to: nil) { sink in try file.naming(work, prepared, from: 0, sink.put) }
      }
    } else if let prompt {
      do {
        let records = [PromptRecord(prompt: .text(prompt))]
        if choices.isEmpty && !json && out == nil && isatty(STDOUT_FILENO) != 0 {
          try show(work.sampler.prepare(records, samples: samples), work.sampler)
        } else {
          try await RecordSink.write(to: out) { sink in
            try work.run(work.sampler.prepare(records, samples: samples), from: 0, onRecord: sink.put)
          }
        }
      } catch let fault as RecordFault {
        throw fault.reason
      }
    }
    if noise.verbose {
      note(String(format: "Sampling held at most %.0f MiB, program and mapped model included.", PeakMemory.mebibytes))
    }
  }

  private func options(_ session: Session) throws -> GenerationOptions {
    var options = try session.generationOptions(sampling, batch)
    if !choices.isEmpty {
      var plain = options.sampler
      plain.temperature = 1
      guard plain.isPolicyItself, options.stopStrings.isEmpty else {
        throw ValidationError("--choices draws whole answers: only --temperature and --seed say how.")
      }
      // What the choices need is checked when they are encoded.
      options.maximumTokens = 1
    }
    return options
  }

  /// What an answer depends on, beside its prompt.
  private func fingerprints(_ work: Work) throws -> [String: String] {
    let (options, policy) = (work.options, work.policy)
    let name = NamedPolicy(policy, modelSHA256: try Fingerprint.of(file: model.path)).fingerprint
    return [
      "model, adapter, --precision or --kv": name, "scale of the adapter": "\(try adapter.choice()?.scale ?? 1)",
      "sampler": options.sampler.identity, "--seed": "\(options.seed)", "-n": "\(samples)",
      "--max-tokens": "\(options.maximumTokens)", "end": "\(options.endTokens.sorted()) \(options.stopStrings)",
      "--choices": "\(choices)",
    ]
  }

  /// A single answer is streamed; several are shown one after another.
  private func show(_ prompts: [PromptSampler.Prepared], _ sampler: PromptSampler) throws {
    try sampler.run(
      prompts, onToken: { if samples == 1 { try Output.text($0.text) } },
      onRecord: { record in
        if samples == 1 {
          try Output.line("")
        } else {
          for (k, response) in record.responses.enumerated() { try Output.line("[\(k + 1)] \(response.text)\n") }
        }
      })
  }
}

/// The work of one call, whatever its results are written to.
private struct Work {
  let policy: Policy
  let options: GenerationOptions
  let sampler: PromptSampler
  private let command: Generate
  private let choices: Choices

  init(_ command: Generate, _ session: Session, policy: Policy, options: GenerationOptions) {
    self.command = command
    self.policy = policy
    self.options = options
    sampler = PromptSampler(policy, encoder: session.encoder, options: options)
    choices = Choices(texts: command.choices, encoder: session.encoder, options: options)
  }

  /// The prompts that can be used; the others are named, and end the work unless they are to be skipped.
  func prepare(_ file: RecordFile<PromptRecord>) throws -> [PromptSampler.Prepared] {
    var file = file
    let prepared = try sampler.prepare(file.records, samples: command.samples) { fault in
      guard command.skipBad else { throw file.located(fault) }
      file.skip(fault)
    }
    file.noteSkipped()
    let (good, bad) = (prepared.count, file.skipped.count)
    guard good > 0 else { throw Failure(.badData, "None of the \(bad) prompts in '\(file.path)' can be used.") }
    if bad > 0 { note("\(bad) of \(good + bad) prompts are left out.") }
    return prepared
  }

  /// Answers the prompts from place `first` on.
  func run(_ prompts: [PromptSampler.Prepared], from first: Int, onRecord: (ResponseRecord) throws -> Void) throws {
    let progress = Progress("Sampling", total: prompts.count, quiet: command.noise.quiet)
    progress.resume(at: first)
    func put(_ record: ResponseRecord) throws {
      try onRecord(record)
      progress.advance(1)
    }
    if command.choices.isEmpty {
      try sampler.run(Array(prompts[first...]), onToken: { _ in progress.advance(tokens: 1) }, onRecord: put)
    } else {
      let requests = try choices.requests(prompts, policy.model)
      try choices.run(prompts[first...], requests[first...], policy, onRecord: put)
    }
  }
}

extension RecordFile<PromptRecord> {
  fileprivate func naming(
    _ work: Work, _ prompts: [PromptSampler.Prepared], from first: Int, _ put: (ResponseRecord) throws -> Void
  ) throws {
    try naming { _ in try work.run(prompts, from: first, onRecord: put) }
  }
}
