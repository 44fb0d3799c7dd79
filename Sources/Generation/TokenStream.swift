import Foundation
import Llama
import Tensors
import Tokenization

extension Generator {
  /// The tokens of answers as an asynchronous stream, each as it is drawn.
  ///
  ///     let request = GenerationRequest(prompt: try encoder.prompt(.text("Hello")), index: 0, samples: 1)
  ///     for try await token in try Generator.stream(policy, [request], options, tokenizer: tokenizer) {
  ///       print(token.text, terminator: "")
  ///     }
  ///
  /// Sampling goes on in a thread of its own, between two reads too, so that it never holds up other tasks. It ends when the
  /// reading task is cancelled or the stream is dropped, at the next token. The policy's adapter must not be changed meanwhile.
  ///
  /// - Throws: `SamplerError` for values that make no sense; the stream throws what `run` does.
  public static func stream(
    _ policy: Policy, _ requests: [GenerationRequest], _ options: GenerationOptions, tokenizer: Tokenizer? = nil
  ) throws -> AsyncThrowingStream<GeneratedToken, any Error> {
    let reader = Reader()
    var watching = options
    watching.isCancelled = { reader.hasLeft || options.isCancelled() }
    let work = Work(generator: try Generator(policy, watching, tokenizer: tokenizer), requests: requests)
    return AsyncThrowingStream { continuation in
      continuation.onTermination = { _ in reader.leave() }
      Thread.detachNewThread {
        do {
          try work.generator.run(work.requests, onToken: { continuation.yield($0) }, onFinish: { _, _ in })
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
    }
  }

  /// What the thread takes along. The generator is its alone; model and policy are only read.
  private struct Work: @unchecked Sendable {
    let generator: Generator
    let requests: [GenerationRequest]
  }

  /// Whether anybody still reads. The lock guards the flag.
  private final class Reader: @unchecked Sendable {
    private let lock = NSLock()
    private var left = false
    var hasLeft: Bool { lock.withLock { left } }
    func leave() { lock.withLock { left = true } }
  }
}
