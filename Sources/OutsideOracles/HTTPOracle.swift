/// `http:URL`, a server that judges: a POST for each question, `{"probability"}` as its answer. Some at once; what fails for a
/// reason that may pass is asked again after a pause.

import AsyncHTTPClient
import Foundation
import Oracles
import Tokenization

struct HTTPOracle: StreamingOracle {
  let name: String
  private let url: String
  private let options: OutsideOptions

  /// - Parameter url: with its scheme, or without: then http.
  init(_ url: String, _ options: OutsideOptions) throws(OracleError) {
    name = "http:\(url)"
    self.options = options
    self.url = url.contains("://") ? url : "http:" + (url.hasPrefix("//") ? url : "//" + url)
    guard let parsed = URL(string: self.url), parsed.host?.isEmpty == false,
      ["http", "https"].contains(parsed.scheme ?? "")
    else { throw .badSpec(spec: name, reason: "'\(url)' is not an address such as http://localhost:8000/judge") }
  }

  func answer(
    _ questions: [Question], onAnswer: @Sendable (_ index: Int, _ probability: Double) async throws -> Void
  ) async throws {
    var failure: (any Error)?
    await withTaskGroup(of: Outcome.self) { group in
      var next = min(max(1, options.parallel), questions.count)
      for index in 0..<next { group.addTask { await outcome(index, questions[index]) } }
      // After a failure nothing new is started, but what is on its way is waited for and kept.
      for await outcome in group {
        do {
          try await onAnswer(outcome.index, outcome.result.get())
        } catch {
          failure = failure ?? error
        }
        guard failure == nil, next < questions.count else { continue }
        let index = next
        next += 1
        group.addTask { await self.outcome(index, questions[index]) }
      }
    }
    if let failure { throw failure }
  }

  private struct Outcome: Sendable {
    let index: Int
    let result: Result<Double, any Error>
  }

  private func outcome(_ index: Int, _ question: Question) async -> Outcome {
    do {
      return Outcome(index: index, result: .success(try await ask(question)))
    } catch {
      return Outcome(index: index, result: .failure(error))
    }
  }

  private func ask(_ question: Question) async throws -> Double {
    let body = Array(try JSONLines.text(OutsideQuestion(question)).utf8)
    var failures = 0
    while true {
      let reason: String
      do {
        return try await post(body)
      } catch let failure as Passing {
        reason = failure.reason
      }
      failures += 1
      try Task.checkCancellation()
      guard failures < options.attempts else {
        throw OracleError.noAnswer(oracle: name, reason: "\(failures) attempts failed, the last because \(reason)")
      }
      options.onNote("Oracle '\(name)': \(reason). It is asked again.")
      try await options.rest(after: failures)
    }
  }

  /// A failure that another attempt may mend.
  private struct Passing: Error { let reason: String }

  private func post(_ body: [UInt8]) async throws -> Double {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    if !options.token.isEmpty { request.headers.add(name: "Authorization", value: "Bearer \(options.token)") }
    request.body = .bytes(body)
    let (status, text): (UInt, Data)
    do {
      let response = try await HTTPClient.shared.execute(
        request, timeout: .milliseconds(Int64(options.timeLimit * 1000)))
      status = response.status.code
      // An answer is a few bytes; a mebibyte is no answer.
      text = Data(try await response.body.collect(upTo: 1 << 20).readableBytesView)
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw Passing(reason: "the request failed (\(error))")
    }
    let said = excerpt(String(decoding: text, as: UTF8.self))
    switch status {
    case 200..<300:
      guard let answer = OutsideAnswer(text) else {
        throw Passing(reason: "it answered \(said) instead of {\"probability\"}")
      }
      return answer.probability
    case 408, 429, 500...: throw Passing(reason: "it answered with status \(status), \(said)")
    default:
      throw OracleError.noAnswer(
        oracle: name, reason: "it refused the request with status \(status), \(said); asking again would not help")
    }
  }
}
