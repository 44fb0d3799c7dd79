/// `command:COMMAND`, a program that judges: a JSON line in for each question, a JSON line out for each answer, in any order. It
/// runs as long as there is work; one that dies or hangs is started again, and asked what is still open.

import Foundation
import Oracles
import Subprocess
import Tokenization

actor CommandOracle: StreamingOracle {
  nonisolated let name: String
  private let arguments: [String]
  private let options: OutsideOptions
  private var running: RunningCommand?
  private var nextID = 0
  /// Questions put to the command in this life, by id.
  private var asked: [Int: Question] = [:]

  /// - Parameter command: words as in a shell: apart by spaces, quotes keep them together.
  init(_ command: String, _ options: OutsideOptions) throws(OracleError) {
    name = "command:\(command)"
    self.options = options
    guard let words = Self.words(command), !words.isEmpty else {
      throw .badSpec(spec: name, reason: "a quote is not closed, or there is no word")
    }
    arguments = words
    // A command that dies while it is written to is a failure of that command, not the end of this program.
    signal(SIGPIPE, SIG_IGN)
  }

  deinit { running?.end() }

  func answer(
    _ questions: [Question], onAnswer: @Sendable (_ index: Int, _ probability: Double) async throws -> Void
  ) async throws {
    var open = Set(questions.indices)
    var failures = 0
    while !open.isEmpty {
      let before = open.count
      do {
        try await converse(questions, &open, onAnswer)
      } catch let failure as CommandFailure {
        if !failure.leavesItRunning { stop() }
        failures = open.count < before ? 1 : failures + 1
        guard failures < options.attempts else {
          stop()
          throw failure.error(name)
        }
        options.onNote("Oracle '\(name)': \(failure.reason). It is asked again for \(open.count).")
        try await options.rest(after: failures)
      } catch {
        stop()
        throw error
      }
    }
  }

  private func stop() {
    running?.end()
    running = nil
    asked = [:]
  }

  /// Puts the open questions to the command and takes answers until there is none open, or all lines that can still come were
  /// spent on something else.
  private func converse(
    _ questions: [Question], _ open: inout Set<Int>,
    _ onAnswer: @Sendable (_ index: Int, _ probability: Double) async throws -> Void
  ) async throws {
    let command = running ?? RunningCommand(arguments)
    running = command
    var places: [Question: [Int]] = [:]
    for index in open.sorted() {
      places[questions[index], default: []].append(index)
      command.send(try JSONLines.text(OutsideQuestion(id: nextID, questions[index])))
      asked[nextID] = questions[index]
      nextID += 1
    }
    var nonsense: [String] = []
    while open.count > nonsense.count {
      let line = try await command.line(within: options.timeLimit)
      guard let answer = OutsideAnswer(Data(line.utf8)), let id = answer.id else {
        nonsense.append(line)
        continue
      }
      // A second answer is nobody's; a late one, to an id of an earlier attempt, is as good as any.
      guard let question = asked[id], let index = places[question]?.popLast() else { continue }
      try await onAnswer(index, answer.probability)
      open.remove(index)
    }
    if let line = nonsense.last { throw CommandFailure.nonsense(line) }
  }

  /// nil when a quote is not closed.
  static func words(_ command: String) -> [String]? {
    var words: [String] = []
    var word: String?
    var quote: Character?
    for character in command {
      if let open = quote {
        if character == open { quote = nil } else { word = (word ?? "") + String(character) }
      } else if character == "\"" || character == "'" {
        quote = character
        word = word ?? ""
      } else if character == " " {
        if let done = word { words.append(done) }
        word = nil
      } else {
        word = (word ?? "") + String(character)
      }
    }
    if let done = word { words.append(done) }
    return quote == nil ? words : nil
  }
}

/// Why a command is started again.
enum CommandFailure: Error {
  case ended(String)
  case silent(seconds: Double)
  case nonsense(String)

  var leavesItRunning: Bool {
    if case .nonsense = self { true } else { false }
  }

  var reason: String {
    switch self {
    case .ended(let how): "the command ended (\(how)) with questions open"
    case .silent(let seconds): "the command gave no answer within \(seconds) seconds"
    case .nonsense(let line): "the command printed \(excerpt(line)) instead of {\"id\", \"probability\"}"
    }
  }

  func error(_ oracle: String) -> OracleError {
    if case .nonsense = self { return .badAnswer(oracle: oracle, reason: reason) }
    return .noAnswer(oracle: oracle, reason: reason)
  }
}

/// One life of the command. Its stderr is ours.
private final class RunningCommand: Sendable {
  private let input: AsyncStream<String>.Continuation
  private let output: AsyncThrowingStream<String, any Error>
  private let task: Task<Void, Never>

  init(_ arguments: [String]) {
    let (lines, input) = AsyncStream.makeStream(of: String.self)
    let (output, received) = AsyncThrowingStream.makeStream(of: String.self)
    self.input = input
    self.output = output
    task = Task {
      do {
        let program = arguments[0]
        let result = try await Subprocess.run(
          program.contains("/") ? .path(.init(program)) : .name(program),
          arguments: Arguments(Array(arguments.dropFirst())), input: .inputWriter, output: .sequence,
          error: .currentStandardError
        ) { execution in
          try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
              for await line in lines { _ = try await execution.standardInputWriter.write(line + "\n") }
              try await execution.standardInputWriter.finish()
            }
            for try await line in execution.standardOutput.strings() { received.yield(line) }
            group.cancelAll()
          }
        }
        received.finish(throwing: CommandFailure.ended("\(result.terminationStatus)"))
      } catch {
        received.finish(throwing: CommandFailure.ended("\(error)"))
      }
    }
  }

  func send(_ line: String) { input.yield(line) }

  /// Closes its input and ends it if that is not enough.
  func end() {
    input.finish()
    task.cancel()
  }

  /// The next line that is not empty.
  func line(within seconds: Double) async throws -> String {
    let watch = Task { [task] in
      try await Task.sleep(for: .seconds(seconds))
      task.cancel()
      return true
    }
    defer { watch.cancel() }
    var lines = output.makeAsyncIterator()
    do {
      while let line = try await lines.next() {
        let text = line.trimmingCharacters(in: .whitespacesAndNewlines)
        if !text.isEmpty { return text }
      }
    } catch {
      watch.cancel()
      if (try? await watch.value) == true { throw CommandFailure.silent(seconds: seconds) }
      throw error
    }
    try Task.checkCancellation()
    throw CommandFailure.ended("its output was closed")
  }
}
