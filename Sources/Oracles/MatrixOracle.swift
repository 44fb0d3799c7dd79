/// `matrix:PATH`, a table of probabilities between a few fixed answers, the same for every prompt.

import Foundation
import Tensors
import Tokenization

public struct MatrixOracle: PreferenceOracle {
  public let name: String
  /// `matrix[i][j]` is P(answers[i] ≻ answers[j]).
  public let matrix: [[Double]]
  public let answers: [String]
  private let path: String
  private let index: [String: Int]

  /// A file is JSON, `{"matrix": [[…]…], "answers"?: [text…]}`, or CSV: rows of numbers, with the answers as first row
  /// and first column when they have names. Answers without names are "0", "1" and so on.
  public init(path: String) throws {
    let bytes = try AtomicFile.read(path)
    let text = String(decoding: bytes, as: UTF8.self)
    if text.contains("{") {
      struct Table: Decodable {
        let matrix: [[Double]]
        let answers: [String]?
      }
      let table: Table
      do {
        table = try JSONDecoder().decode(Table.self, from: Data(bytes))
      } catch {
        throw OracleError.badTable(path: path, reason: "it is not JSON with a 'matrix' of numbers")
      }
      try self.init(matrix: table.matrix, answers: table.answers, path: path)
    } else {
      let table = try Self.parseCSV(text, path)
      try self.init(matrix: table.matrix, answers: table.answers, path: path)
    }
  }

  /// - Throws: `OracleError.badTable` unless the matrix is square, within 0…1, and P(i ≻ j) + P(j ≻ i) = 1.
  public init(matrix: [[Double]], answers: [String]? = nil, path: String = "") throws(OracleError) {
    let names = answers ?? matrix.indices.map(String.init)
    let count = matrix.count
    guard count > 0, names.count == count, matrix.allSatisfy({ $0.count == count }) else {
      throw .badTable(path: path, reason: "\(names.count) answers need as many rows and columns, all of one length")
    }
    for i in 0..<count {
      for j in 0...i {
        let sum = matrix[i][j] + matrix[j][i]
        // Decimal fractions do not add up exactly in binary.
        guard (0...1).contains(matrix[i][j]), (0...1).contains(matrix[j][i]), abs(sum - 1) < 1e-9 else {
          throw .badTable(
            path: path,
            reason:
              "rows \(i) and \(j) give \(matrix[i][j]) and \(matrix[j][i]), which are not a probability and its rest")
        }
      }
    }
    var index: [String: Int] = [:]
    for (i, answer) in names.enumerated() {
      guard index.updateValue(i, forKey: answer) == nil else {
        throw .badTable(path: path, reason: "answer '\(answer)' is there twice")
      }
    }
    (self.matrix, self.answers, self.path, self.index) = (matrix, names, path, index)
    name = "matrix:\(path)"
  }

  public func probability(
    that a: Candidate, beats b: Candidate, for prompt: PromptRecord
  ) throws(OracleError) -> Double {
    matrix[try row(a)][try row(b)]
  }

  /// White space around an answer does not count.
  private func row(_ candidate: Candidate) throws(OracleError) -> Int {
    let text = candidate.text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard let row = index[text] else { throw .notInTable(path: path, answer: text) }
    return row
  }

  private static func parseCSV(_ text: String, _ path: String) throws(OracleError) -> (
    matrix: [[Double]], answers: [String]?
  ) {
    var rows = text.split(whereSeparator: \.isNewline).map { line in
      line.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
    }
    var answers: [String]?
    if let first = rows.first, first.first == "" {
      answers = Array(first.dropFirst())
      guard rows.dropFirst().map({ $0[0] }) == answers else {
        throw .badTable(path: path, reason: "its first row and its first column name different answers")
      }
      rows = rows.dropFirst().map { Array($0.dropFirst()) }
    }
    var matrix: [[Double]] = []
    for row in rows {
      let numbers = row.compactMap(Double.init)
      guard numbers.count == row.count else {
        throw .badTable(path: path, reason: "row \(matrix.count) holds something that is not a number")
      }
      matrix.append(numbers)
    }
    return (matrix, answers)
  }
}
