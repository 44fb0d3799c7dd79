import Foundation
import Oracles
import OutsideOracles
import Synchronization
import TestSupport
import Testing
import Tokenization

private let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .appendingPathComponent("preference_server.py").path

/// Twenty questions; every answer has another length.
private let questions: [Question] = (0..<20).map { i in
  Question(
    PromptRecord(prompt: .text("prompt \(i) \"é\"\n")), a: Candidate(text: String(repeating: "a", count: 1 + i)),
    b: Candidate(text: String(repeating: "b", count: 1 + (7 * i) % 20)))
}

/// What the stub thinks.
private func expected(_ question: Question) -> Double {
  let (a, b) = (question.a.text.count, question.b.text.count)
  return a < b ? 0.75 : a == b ? 0.5 : 0.25
}

private func logged(_ path: String) throws -> [String] {
  guard FileManager.default.fileExists(atPath: path) else { return [] }
  return String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    .split(separator: "\n").map(String.init)
}

private final class Notes: Sendable {
  let list = Mutex<[String]>([])
}

private func options(limit: Double = 20, attempts: Int = 4, token: String = "", _ notes: Notes = Notes())
  -> OutsideOptions
{
  OutsideOptions(timeLimit: limit, attempts: attempts, parallel: 3, pause: 0.01, token: token) { note in
    notes.list.withLock { $0.append(note) }
  }
}

struct CommandOracleTests {
  private let log: String

  init() throws { log = try temporaryFolder() + "/log" }

  private func open(
    _ mode: String, _ options: OutsideOptions, cache: JudgementCache = JudgementCache(), oneOrder: Bool = false
  ) throws -> any PreferenceOracle {
    try Oracle.parse(
      "command:python3 '\(script)' command \(mode) \(log)", kinds: OracleKind.outside(options), cache: cache,
      oneOrder: oneOrder)
  }

  @Test(arguments: ["good", "slow", "loud", "dies", "babbles", "shuffled"])
  func nothingIsLostAndNothingJudgedTwice(mode: String) async throws {
    let oracle = try open(mode, options())
    // In two parts: the second goes to the command that runs already.
    var answers = try await oracle.probabilities(Array(questions.prefix(12)))
    answers += try await oracle.probabilities(Array(questions.dropFirst(8)))
    #expect(answers == (questions.prefix(12) + questions.dropFirst(8)).map(expected))
    let judged = try logged(log)
    #expect(Set(judged).count == judged.count, "a question was answered twice")
    // Both orders of all but the one pair of equal length; that one has two texts, so it is asked, too.
    #expect(judged.count == 2 * questions.count)
  }

  @Test func aCommandThatHangsIsStartedAgain() async throws {
    let notes = Notes()
    let oracle = try open("hangs", options(limit: 3, notes))
    #expect(try await oracle.probabilities(questions) == questions.map(expected))
    #expect(try logged(log + ".lives").count >= 2)
    #expect(notes.list.withLock { !$0.isEmpty && $0[0].contains("no answer within 3.0 seconds") })
    let judged = try logged(log)
    #expect(Set(judged).count == judged.count)
  }

  @Test func theCommandStaysAliveBetweenQuestions() async throws {
    let oracle = try open("good", options(), oneOrder: true)
    for question in questions.prefix(5) {
      #expect(try await oracle.probabilities([question]) == [expected(question)])
    }
    #expect(try logged(log + ".lives").count == 1)
    #expect(try logged(log).count == 5, "one order only")
  }

  @Test func whatNeverAnswersEndsWithASentence() async throws {
    for (mode, limit) in [("mute", 1.0), ("wrong", 20)] {
      let oracle = try open(mode, options(limit: limit, attempts: 2))
      await #expect { try await oracle.probabilities(questions) } throws: { error in
        switch error as? OracleError {
        case .noAnswer(_, let reason): mode == "mute" && reason.contains("no answer within")
        case .badAnswer(_, let reason): mode == "wrong" && reason.contains("\"probability\": 2")
        default: false
        }
      }
    }
    let nobody = try Oracle.parse("command:/no/such/program", kinds: OracleKind.outside(options(attempts: 2)))
    await #expect(throws: OracleError.self) { try await nobody.probabilities(questions) }
  }

  @Test func aLaterRunAsksOnlyWhatIsMissing() async throws {
    let path = try temporaryFolder() + "/judgements.jsonl"
    let first = try open("dies", options(attempts: 1), cache: JudgementCache(path: path))
    // It dies after three answers and may not be started again: three judgements are kept.
    await #expect(throws: OracleError.self) { try await first.probabilities(questions) }
    #expect(try logged(path).count == 3)
    // The kill that came while a line was being written.
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"key\": \"to".utf8))
    try handle.close()
    let second = try open("dies", options(), cache: JudgementCache(path: path))
    #expect(try await second.probabilities(questions) == questions.map(expected))
    let judged = try logged(log)
    #expect(judged.count == 2 * questions.count && Set(judged).count == judged.count)
    let third = try open("dies", options(), cache: JudgementCache(path: path))
    #expect(try await third.probabilities(questions) == questions.map(expected))
    #expect(try logged(log).count == judged.count, "all is in the file")
  }

  @Test func aQuoteMustBeClosed() throws {
    #expect {
      try Oracle.parse("command:python3 'x", kinds: OracleKind.outside(options()))
    } throws: { error in
      guard case OracleError.badSpec = error else { return false }
      return true
    }
  }
}

/// The stub as a server on a port of its own.
private struct Server {
  private let port: String

  /// Ends the server after `body`.
  static func run(_ mode: String, log: String, _ body: (Server) async throws -> Void) async throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", script, "http", mode, log]
    try process.run()
    defer { process.terminate() }
    // It names its port once it listens.
    while process.isRunning, !FileManager.default.fileExists(atPath: log + ".port") {
      try await Task.sleep(for: .milliseconds(20))
    }
    try await body(Server(port: try #require(logged(log + ".port").first)))
  }

  func oracle(_ options: OutsideOptions) throws -> any PreferenceOracle {
    try Oracle.parse("http://127.0.0.1:\(port)/judge", kinds: OracleKind.outside(options))
  }
}

struct HTTPOracleTests {
  private let log: String

  init() throws { log = try temporaryFolder() + "/log" }

  @Test(arguments: ["good", "slow", "dies", "busy", "babbles"])
  func nothingIsLostAndNothingJudgedTwice(mode: String) async throws {
    try await Server.run(mode, log: log) { server in
      let oracle = try server.oracle(options(attempts: 12))
      #expect(try await oracle.probabilities(questions) == questions.map(expected))
      #expect(try await oracle.probabilities(questions) == questions.map(expected))
    }
    let judged = try logged(log)
    #expect(judged.count == 2 * questions.count && Set(judged).count == judged.count)
  }

  @Test func aTokenOpensAGuardedServer() async throws {
    try await Server.run("guarded", log: log) { server in
      let stranger = try server.oracle(options())
      await #expect {
        try await stranger.probabilities(questions)
      } throws: { error in
        guard case OracleError.noAnswer(_, let reason) = error else { return false }
        return reason.contains("status 401, 'who are you?'")
      }
      #expect(try await server.oracle(options(token: "secret")).probabilities(questions) == questions.map(expected))
    }
  }

  @Test func aRequestThatTakesTooLongIsGivenUp() async throws {
    try await Server.run("hangs", log: log) { server in
      let oracle = try server.oracle(options(limit: 1))
      #expect(try await oracle.probabilities(questions) == questions.map(expected))
    }
  }

  @Test func attemptsEnd() async throws {
    try await Server.run("wrong", log: log) { server in
      let oracle = try server.oracle(options(attempts: 2))
      await #expect {
        try await oracle.probabilities(questions)
      } throws: { error in
        guard case OracleError.noAnswer(_, let reason) = error else { return false }
        return reason.contains("2 attempts failed")
      }
    }
  }

  @Test(arguments: ["http:", "http:ftp://x", "http://"])
  func notAnAddress(spec: String) {
    #expect(throws: OracleError.self) { try Oracle.parse(spec, kinds: OracleKind.outside(options())) }
  }
}
