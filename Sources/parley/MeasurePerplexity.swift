import ArgumentParser
import Evaluation
import Foundation
import Llama
import Tensors
import Tokenization

struct MeasurePerplexity: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure the perplexity of a text, and how far the distributions are from saved ones.",
    discussion: """
      The text goes in windows of --ctx tokens that begin --stride apart; each scores what those before it did not. A saved
      reference has 4 bytes for each token of the vocabulary for each token of the text.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var noise: NoiseOptions

  @Option(help: "A file of plain text.")
  var text: String

  @Option(
    parsing: .unconditional,
    help: "Tokens between the starts of windows. Default: half of --ctx, which is 2048 if the model has it.")
  var stride: Int?

  @Option(help: "Save all log-probabilities into this file, whole or not at all.")
  var saveReference: String?

  @Option(help: "Compare with these saved log-probabilities.")
  var reference: String?

  @Flag(help: "One JSON object.")
  var json = false

  func run() async throws {
    if saveReference != nil && reference != nil {
      throw ValidationError("--save-reference and --reference exclude each other.")
    }
    let session = try Session(model, noise, raw: true)
    let context = model.ctx ?? min(2048, session.model.context)
    let windows = try TextWindows(context: context, stride: stride ?? max(1, context / 2))
    let ids = try session.encoder.prompt(.text(String(decoding: try AtomicFile.read(text), as: UTF8.self)))
    let perplexity = Evaluation.Perplexity(try session.policy(adapter, noise), windows: windows)
    let header = ReferenceHeader(ids, session.model, session.tokenizer, windows: windows)
    let progress = Progress("Scoring", total: max(0, ids.count - 1), quiet: noise.quiet)
    let onProgress = { (tokens: Int) in progress.advance(tokens, tokens: tokens) }
    let isCancelled = { Interrupt.isReceived }
    let result: PerplexityResult
    if let saveReference {
      let writer = try ReferenceWriter(saveReference, header)
      result = try perplexity(ids, saving: writer, onProgress: onProgress, isCancelled: isCancelled)
      try writer.commit()
    } else if let reference {
      let reader = try ReferenceReader(reference, header)
      result = try perplexity(ids, comparing: reader, onProgress: onProgress, isCancelled: isCancelled)
    } else {
      result = try perplexity(ids, onProgress: onProgress, isCancelled: isCancelled)
    }
    if json { try Output.json(result) } else { try Output.text(Self.text(result)) }
  }

  private static func text(_ result: PerplexityResult) -> String {
    func number(_ value: Double) -> String { String(format: "%.6g", value) }
    var lines = [
      "perplexity     \(number(result.perplexity)) ± \(number(result.standardError))  (\(result.tokens) tokens)",
      "mean log-prob  \(number(result.meanLogp)) nats a token",
    ]
    if let far = result.divergence {
      lines += [
        "KL             mean \(number(far.klMean)) ± \(number(far.klStandardError)), 99 % below \(number(far.klP99)), largest "
          + "\(number(far.klMax)) nats",
        "same top-1     \(number(100 * far.topAgreement)) %",
        "|Δ log-prob|   mean \(number(far.logpDeltaMean)), largest \(number(far.logpDeltaMax)) nats",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
