/// The one place where an error becomes a sentence on stderr and an exit code.

import Adapters
import ArgumentParser
import Evaluation
import Foundation
import GGUF
import Generation
import INPO
import Llama
import Oracles
import Scoring
import Tensors
import Tokenization
import Training

/// The codes of BSD's sysexits.h, and the shell's for an interrupt.
enum ExitStatus: Int32 {
  case usage = 64
  case badData = 65
  case notFound = 66
  case bug = 70
  case readOrWrite = 74
  case interrupted = 130

  /// What an error of any library means for whoever called the program.
  init(_ error: any Error) {
    switch error {
    case let error as Failure: self = error.status
    case let error as RecordFault: self = ExitStatus(error.reason)
    case let error as FileError: self = ExitStatus(file: error)
    case let error as GGUFError:
      switch error.fact {
      case .file(let file): self = ExitStatus(file: file)
      case .missingPart: self = .notFound
      default: self = .badData
      }
    case let error as SamplerError:
      switch error {
      case .notFinite, .nothingLeft: self = .badData
      default: self = .usage
      }
    case let error as OracleError:
      switch error {
      case .unknown, .needsPath, .badSpec, .notOffered: self = .usage
      case .noAnswer: self = .readOrWrite
      default: self = .badData
      }
    case let error as SafetensorsError:
      if case .file(let file) = error { self = ExitStatus(file: file) } else { self = .badData }
    case let error as AdapterError:
      if case .noConfiguration = error { self = .notFound } else { self = .badData }
    case is LlamaError, is TokenizerError, is TemplateError, is PromptError, is RecordError,
      is ScoreError, is GenerationError:
      self = .badData
    case let error as ConfigError: self = error.isUsage ? .usage : .badData
    case let error as RunError:
      if case .folderExists = error { self = .usage } else { self = .badData }
    case GameError.badSettings, is LossError, TrainerError.noAccuracy, TrainerError.nothingToDo: self = .usage
    case TrainerError.notWritten: self = .readOrWrite
    case PerplexityError.badStride: self = .usage
    case is GameError, is PairError, is TrainerError, is CheckpointError, is MetricsError, is EvaluationError,
      is PerplexityError, is LoglikelihoodError:
      self = .badData
    case is CancellationError: self = .interrupted
    default: self = .bug
    }
  }

  private init(file error: FileError) {
    if case .notFound = error { self = .notFound } else { self = .readOrWrite }
  }
}

/// An error of the command line itself: one sentence and its code.
struct Failure: Error, CustomStringConvertible {
  let status: ExitStatus
  let description: String

  init(_ status: ExitStatus, _ sentence: String) {
    self.status = status
    description = sentence
  }

  /// For work that keeps what it has done.
  static let resumable = Failure(
    .interrupted,
    "Interrupted. Sampled answers, training steps and finished phases are kept: go on with the same command and --resume."
  )

  static func end(with error: any Error, in command: any ParsableCommand.Type) -> Never {
    if let error = error as? ValidationError { return end(with: Failure(.usage, error.message), in: command) }
    // Help and the like arrive as errors that mean success; the argument parser prints them.
    if error is ExitCode || command.exitCode(for: error) == .success { command.exit(withError: error) }
    let status = ExitStatus(error)
    switch status {
    case .interrupted where error is CancellationError:
      note("parley: Interrupted, no file was written. Run the same command again to start over.")
    case .bug:
      note("parley: \(error) This is a bug of Parley: please report the command and this line.")
    default:
      note("parley: \(error)")
    }
    exit(status.rawValue)
  }
}

/// One line to stderr.
func note(_ line: String) {
  try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
}
