import ArgumentParser
import Foundation
import Tensors

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a model file is and what it needs in memory.",
    discussion:
      "Of a split model, name any part. Memory is what the work needs beside the mapped weights and the program.")

  @OptionGroup var model: ModelOptions

  @Option(
    help: ArgumentHelp(
      "Lengths of sequences to count memory for, separated by commas; without it, 2048, 8192 and the context, as far as the context goes.",
      valueName: "tokens"))
  var lengths: TokenCounts?

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Show the processor: kernel tables, threads.")
  var cpu = false

  @Flag(help: "One JSON object.")
  var json = false

  func run() throws {
    let session = try Session(model, NoiseOptions.none)
    let facts = try ModelFacts(
      session, lengths: counts(context: session.model.context), listsTensors: tensors, showsCPU: cpu)
    if json { try Output.json(facts) } else { try Output.text(facts.text) }
  }

  private func counts(context: Int) throws -> [Int] {
    guard let lengths else { return [2048, 8192].filter { $0 < context } + [context] }
    for count in lengths.values where !(1...context).contains(count) {
      throw ValidationError("--lengths has \(count); give numbers from 1 to \(context), the context.")
    }
    return lengths.values
  }
}

/// `512,2048`
struct TokenCounts: ExpressibleByArgument {
  let values: [Int]

  init?(argument: String) {
    let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    values = numbers.compactMap { $0 }
    if values.count != numbers.count { return nil }
  }
}

extension NoiseOptions {
  /// For commands that have nothing to say besides their result.
  static var none: NoiseOptions {
    var options = NoiseOptions()
    options.quiet = true
    options.verbose = false
    return options
  }
}

extension ModelFacts {
  /// For people: groups of aligned lines.
  var text: String {
    var groups = [file, model, vocabulary, needs]
    if let cpu {
      groups.append(
        Self.group(
          "Processor",
          [("kernels", "\(cpu.kernels) (of \(cpu.available.joined(separator: ", ")))"), ("threads", "\(cpu.threads)")])
          + "\n" + cpu.grid.text)
    }
    if let tensors {
      let table = tensors.map { [$0.name, $0.format, "\($0.dimensions)", byteCount($0.bytes)] }
      groups.append("Tensors\n" + Self.table(table, rightAligned: [3]))
    }
    return groups.joined(separator: "\n")
  }

  private var file: String {
    let bytes = memory.weights
    let barWidth = 20.0
    let histogram = formats.map { format in
      let share = Double(format.bytes) / Double(max(bytes, 1))
      return [
        format.format, "\(format.tensors)", byteCount(format.bytes), "\(Int((100 * share).rounded())) %",
        String(repeating: "█", count: Int((barWidth * share).rounded())),
      ]
    }
    var lines = files.map { ("path", $0) }
    lines.append(("weights", "\(byteCount(bytes)) in \(formats.reduce(0) { $0 + $1.tensors }) tensors"))
    return Self.group("File", lines) + Self.table(histogram, rightAligned: [1, 2, 3])
  }

  private var model: String {
    let window = slidingWindow.map { ", \($0) seen at once" } ?? ""
    return Self.group(
      "Model",
      [
        ("name", name ?? "none given"), ("architecture", architecture), ("parameters", Self.rounded(parameters)),
        ("shape", "\(blocks) blocks, width \(width), feed-forward \(feedForward)"),
        ("attention", "\(heads) heads of \(headWidth), \(kvHeads) for keys and values"),
        ("context", "\(context)\(window)"), ("rotation", "base \(ropeBase), scaling \(ropeScaling)"),
        ("output", tiedOutput ? "tied to the embedding" : "a matrix of its own"),
      ])
  }

  private var vocabulary: String {
    Self.group(
      "Text",
      [
        (
          "tokenizer",
          "\(tokenizer.model)/\(tokenizer.pre ?? "default"), \(tokenizer.vocabulary) tokens, "
            + (tokenizer.addsBOS ? "adds BOS" : "adds no BOS")
        ),
        ("chat template", chatTemplate ? "yes" : "no"),
      ])
  }

  private var needs: String {
    let header = ["tokens"] + memory.lengths.map { "\($0.tokens)" }
    let rows = [("to generate", \Length.generate), ("to score", \.score), ("to train a pair", \.train)].map {
      use, bytes in
      [use] + memory.lengths.map { byteCount($0[keyPath: bytes]) }
    }
    return "Memory beside \(byteCount(memory.weights)) of mapped weights\n"
      + Self.table([header] + rows, rightAligned: Set(1..<header.count))
      + "  (training in the least memory; it takes more where it may, and is faster then)\n"
  }

  private static func group(_ title: String, _ lines: [(String, String)]) -> String {
    "\(title)\n" + table(lines.map { [$0.0, $0.1] }, rightAligned: [], firstWidth: 14)
  }

  /// Rows of cells under each other, indented.
  private static func table(_ rows: [[String]], rightAligned: Set<Int>, firstWidth: Int = 0) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.reduce(column == 0 ? firstWidth : 0) { max($0, column < $1.count ? $1[column].count : 0) }
    }
    return rows.map { row in
      var line = " "
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        line += " " + (rightAligned.contains(column) ? padding + cell : cell + padding)
        if column + 1 < row.count { line += " " }
      }
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }

  /// `1.78 billion (1777088000)`
  private static func rounded(_ count: Int) -> String {
    let (size, word) = count >= 1_000_000_000 ? (1e9, "billion") : (1e6, "million")
    guard count >= 1_000_000 else { return "\(count)" }
    return "\((100 * Double(count) / size).rounded() / 100) \(word) (\(count))"
  }
}

/// `1.04 GiB`; below a tenth of one, `12.3 MiB`.
func byteCount(_ bytes: Int) -> String {
  let gibibytes = Double(bytes) / Double(1 << 30)
  return gibibytes >= 0.1 ? String(format: "%.2f GiB", gibibytes) : mebibytes(bytes)
}

/// `12.3 MiB`
func mebibytes(_ bytes: Int) -> String {
  let tenths = (Double(bytes) / 104_857.6).rounded()
  return "\(tenths / 10) MiB"
}
