/// The text and the curves of `report.md`.

import Foundation

extension Report {
  func markdown(charts: [(name: String, title: String)], samples: [Sample]) -> String {
    var text = "# INPO on \((model as NSString).lastPathComponent)\n\n"
    if let last = rounds.last, let rate = last.winRate, let low = last.low, let high = last.high {
      text +=
        "After \(rounds.count) round\(rounds.count == 1 ? "" : "s") the tuned policy wins **\(percent(rate))** of held-out "
        + "comparisons against the reference under `\(oracle)` (95 % interval \(percent(low)) to \(percent(high))).\n\n"
    }
    text += """
      | round | win rate | 95 % interval | mean tokens | reference | KL (nats) | first loss | last loss | pairs | time |
      |--:|--:|:-:|--:|--:|--:|--:|--:|--:|--:|

      """
    for (index, round) in rounds.enumerated() {
      let interval = round.low.flatMap { low in round.high.map { "\(percent(low)) – \(percent($0))" } }
      let cells = [
        "\(index + 1)", round.winRate.map(percent) ?? "–", interval ?? "–", number(round.meanTokens, 1),
        number(round.referenceMeanTokens, 1), number(round.kl, 2), number(round.lossFirst, 1),
        number(round.lossLast, 1), "\(round.pairs)", duration(round.seconds.total),
      ]
      text += "| " + cells.joined(separator: " | ") + " |\n"
    }
    text += "\n"
    for chart in charts { text += "![\(chart.title)](curves/\(chart.name).svg)\n\n" }

    text += "## Time by phase\n\n| round | sample | judge | score | train | evaluate |\n|--:|--:|--:|--:|--:|--:|\n"
    for (index, round) in rounds.enumerated() {
      let s = round.seconds
      let cells = [s.sample, s.judge, s.score, s.train, s.evaluate].map(duration)
      text += "| \(index + 1) | " + cells.joined(separator: " | ") + " |\n"
    }
    if !samples.isEmpty {
      text += "\n## Answers side by side\n"
      for sample in samples {
        text += "\n> \(sample.prompt.split(whereSeparator: \.isNewline).joined(separator: "\n> "))\n\n"
        text += "| reference | tuned |\n|---|---|\n| \(cell(sample.reference)) | \(cell(sample.policy)) |\n"
      }
    }
    text += "\n## Made with\n\n- Model: `\(model)`\n- Last adapter: `\(adapter)`\n"
    for (name, seed) in seeds.sorted(by: { $0.key < $1.key }) { text += "- Seed, \(name): \(seed)\n" }
    for (name, version) in versions.sorted(by: { $0.key < $1.key }) { text += "- \(name): \(version)\n" }
    return text
  }

  func charts(losses: [[Double]]) -> [(name: String, chart: Chart)] {
    var charts: [(name: String, chart: Chart)] = []
    func perRound(_ value: (Round) -> Double?) -> [Chart.Point] {
      rounds.enumerated().compactMap { index, round in
        value(round).map { Chart.Point(x: Double(index + 1), y: $0) }
      }
    }
    let wins: [Chart.Point] = rounds.enumerated().compactMap { index, round in
      round.winRate.map { rate in
        Chart.Point(
          x: Double(index + 1), y: 100 * rate, low: round.low.map { 100 * $0 }, high: round.high.map { 100 * $0 })
      }
    }
    if !wins.isEmpty {
      charts.append(
        (
          "win-rate",
          Chart(
            title: "Held-out win rate against the reference (%)", xLabel: "round", series: [.init("tuned", wins)],
            guide: 50, includes: [0, 100], wholeX: true)
        ))
    }
    let (tokens, reference) = (perRound(\.meanTokens), perRound(\.referenceMeanTokens))
    if !tokens.isEmpty {
      charts.append(
        (
          "length",
          Chart(
            title: "Mean answer length (tokens)", xLabel: "round",
            series: [.init("tuned", tokens), .init("reference", reference)], includes: [0], wholeX: true)
        ))
    }
    let kl = perRound(\.kl)
    if !kl.isEmpty {
      charts.append(
        (
          "kl",
          Chart(
            title: "KL to the reference (nats per answer)", xLabel: "round", series: [.init("tuned", kl)],
            includes: [0], wholeX: true)
        ))
    }
    var step = 0.0
    let curves: [Chart.Series] = losses.enumerated().map { index, values in
      let points = values.map { loss in
        step += 1
        return Chart.Point(x: step, y: loss)
      }
      return .init("round \(index + 1)", points.filter(\.y.isFinite))
    }.filter { !$0.points.isEmpty }
    if !curves.isEmpty {
      charts.append(("loss", Chart(title: "Training loss", xLabel: "step", series: curves, wholeX: true)))
    }
    return charts
  }

  private func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }

  private func number(_ value: Double?, _ digits: Int) -> String {
    value.map { String(format: "%.\(digits)f", $0) } ?? "–"
  }

  private func duration(_ seconds: Double) -> String {
    seconds < 60
      ? String(format: "%.1f s", seconds) : String(format: "%d min %02d s", Int(seconds) / 60, Int(seconds) % 60)
  }

  /// Text inside one table cell.
  private func cell(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: "|", with: "\\|").split(whereSeparator: \.isNewline).joined(separator: "<br>")
  }
}
