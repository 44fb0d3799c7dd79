import ArgumentParser
import Foundation
import INPO
import Tensors

struct Game: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Play INPO's game on a small table, where every policy can be computed.",
    discussion: "The file holds {\"matrix\": [[P(row beats column) …] …], \"reference\": [probability …]}.")

  @Option(help: "The table, JSON.")
  var matrix: String

  @Option(parsing: .unconditional, help: "Inverse step size η of mirror descent.")
  var eta: Double

  @Option(parsing: .unconditional, help: "Weight τ of the KL to the reference.")
  var tau: Double

  @Option(parsing: .unconditional, help: "Steps.")
  var rounds: Int

  @Flag(help: "A JSON line for each round.")
  var json = false

  func check() throws {
    try Allowed.repetitions.check(rounds, of: "--rounds")
  }

  private struct Table: Decodable {
    let matrix: [[Double]]
    let reference: [Double]
  }

  private struct Round: Encodable {
    let round: Int
    let policy: [Double]
    let dualGap: Double

    enum CodingKeys: String, CodingKey {
      case round, policy
      case dualGap = "dual_gap"
    }
  }

  func run() throws {
    try check()
    let bytes = try AtomicFile.read(matrix)
    guard let table = try? JSONDecoder().decode(Table.self, from: Data(bytes)) else {
      throw Failure(.badData, "'\(matrix)' is not JSON with a `matrix` and a `reference` of numbers.")
    }
    let game = try TabularGame(matrix: table.matrix, reference: table.reference, tau: tau)
    let run = try game.run(rounds: rounds, eta: eta)
    for (index, (policy, gap)) in zip(run.policies, run.gaps).enumerated() {
      if json {
        try Output.json(Round(round: index + 1, policy: policy, dualGap: gap))
      } else {
        let numbers = policy.map { String(format: "%.6f", $0) }.joined(separator: " ")
        try Output.line("\(index + 1)\t\(numbers)\tdual gap \(String(format: "%.3e", gap))")
      }
    }
  }
}
