/// A line chart as SVG text: axes, light grid, a line per series with its name at its end. Nothing but drawing.

import Foundation

struct Chart {
  struct Point {
    var x: Double
    var y: Double
    /// An interval around `y`, drawn as a band.
    var low: Double?
    var high: Double?
  }

  struct Series {
    var name: String
    var points: [Point]

    init(_ name: String, _ points: [Point]) {
      self.name = name
      self.points = points
    }
  }

  var title: String
  var xLabel: String
  var series: [Series]
  /// A dashed line at this height.
  var guide: Double?
  /// Heights the axis must reach.
  var includes: [Double] = []
  /// x counts something, so its ticks are whole numbers.
  var wholeX = false

  private static let colours = ["#2563eb", "#94a3b8", "#ea580c", "#16a34a", "#9333ea"]
  private static let (width, height) = (680.0, 300.0)
  private static let (left, right, top, bottom) = (58.0, 96.0, 48.0, 44.0)

  var svg: String {
    let xs = series.flatMap { $0.points.map(\.x) }
    let ys = series.flatMap { $0.points.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] } } + includes
    let xAxis = Axis(xs, whole: wholeX, tight: true)
    let yAxis = Axis(ys, whole: false, tight: false)
    let plotWidth = Self.width - Self.left - Self.right
    let plotHeight = Self.height - Self.top - Self.bottom
    func x(_ value: Double) -> String { Self.short(Self.left + xAxis.share(value) * plotWidth) }
    func y(_ value: Double) -> String { Self.short(Self.top + (1 - yAxis.share(value)) * plotHeight) }

    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.short(Self.width)) \(Self.short(Self.height))" \
      width="\(Self.short(Self.width))" height="\(Self.short(Self.height))" font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12">
      <rect width="100%" height="100%" rx="8" fill="#ffffff"/>
      <text x="20" y="28" font-size="15" font-weight="600" fill="#0f172a">\(Self.escaped(title))</text>

      """
    for tick in yAxis.ticks {
      text += """
        <path d="M\(Self.short(Self.left)) \(y(tick))H\(Self.short(Self.width - Self.right))" stroke="#e2e8f0"/>
        <text x="\(Self.short(Self.left - 8))" y="\(y(tick))" dy="4" text-anchor="end" fill="#475569">\(yAxis.label(tick))</text>

        """
    }
    for tick in xAxis.ticks {
      text += """
        <text x="\(x(tick))" y="\(Self.short(Self.height - Self.bottom + 18))" text-anchor="middle" \
        fill="#475569">\(xAxis.label(tick))</text>

        """
    }
    text += """
      <text x="\(Self.short(Self.left + plotWidth / 2))" y="\(Self.short(Self.height - 8))" text-anchor="middle" \
      fill="#475569">\(Self.escaped(xLabel))</text>

      """
    if let guide {
      text += """
        <path d="M\(Self.short(Self.left)) \(y(guide))H\(Self.short(Self.width - Self.right))" stroke="#64748b" \
        stroke-dasharray="4 4"/>

        """
    }
    for (index, one) in series.enumerated() where !one.points.isEmpty {
      let colour = Self.colours[index % Self.colours.count]
      let banded = one.points.filter { $0.low != nil && $0.high != nil }
      if banded.count > 1 {
        let upper = banded.map { "\(x($0.x)) \(y($0.high ?? $0.y))" }
        let lower = banded.reversed().map { "\(x($0.x)) \(y($0.low ?? $0.y))" }
        text += "<path d=\"M\((upper + lower).joined(separator: "L"))Z\" fill=\"\(colour)\" fill-opacity=\"0.12\"/>\n"
      }
      for point in banded {
        text += """
          <path d="M\(x(point.x)) \(y(point.low ?? point.y))V\(y(point.high ?? point.y))" stroke="\(colour)" \
          stroke-opacity="0.5"/>

          """
      }
      let line = one.points.map { "\(x($0.x)) \(y($0.y))" }.joined(separator: "L")
      text += "<path d=\"M\(line)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\" stroke-linejoin=\"round\"/>\n"
      if one.points.count <= 24 {
        for point in one.points {
          text += "<circle cx=\"\(x(point.x))\" cy=\"\(y(point.y))\" r=\"3.5\" fill=\"\(colour)\"/>\n"
        }
      }
    }
    return text + labels(x, y, yAxis, plotHeight) + "</svg>\n"
  }

  /// Names at the right edge, at the height of each line's end, pushed apart until none overlaps.
  private func labels(
    _ x: (Double) -> String, _ y: (Double) -> String, _ yAxis: Axis, _ plotHeight: Double
  ) -> String {
    var places = series.enumerated().compactMap { index, one in
      one.points.last.map { (index: index, at: Self.top + (1 - yAxis.share($0.y)) * plotHeight) }
    }.sorted { $0.at < $1.at }
    for i in places.indices.dropFirst() { places[i].at = max(places[i].at, places[i - 1].at + 15) }
    let over = (places.last?.at ?? 0) - (Self.height - Self.bottom)
    if over > 0 { for i in places.indices { places[i].at -= over } }
    return places.map { place in
      """
      <text x="\(Self.short(Self.width - Self.right + 10))" y="\(Self.short(place.at))" dy="4" font-weight="600" \
      fill="\(Self.colours[place.index % Self.colours.count])">\(Self.escaped(series[place.index].name))</text>

      """
    }.joined()
  }

  static func short(_ value: Double) -> String {
    let rounded = (value * 10).rounded() / 10
    return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
  }

  static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;")
  }
}

/// A range with round ticks: steps of 1, 2 or 5 times a power of ten, about five of them.
struct Axis {
  let low: Double
  let high: Double
  let step: Double

  /// - Parameter tight: the range is the data's own; otherwise it ends on ticks.
  init(_ values: [Double], whole: Bool, tight: Bool) {
    let least = values.min() ?? 0
    let most = values.max() ?? 1
    let span = most > least ? most - least : max(abs(most), 1)
    let raw = span / 5
    let power = pow(10, floor(log10(raw)))
    let nice = [1, 2, 5, 10].first { $0 * power >= raw * 0.999 } ?? 10
    step = whole ? max(1, (nice * power).rounded()) : nice * power
    if tight {
      (low, high) = most > least ? (least, most) : (least - 0.5, most + 0.5)
    } else {
      low = floor(least / step) * step
      high = most > least ? ceil(most / step) * step : low + 5 * step
    }
  }

  var ticks: [Double] {
    let first = Int((low / step).rounded(.up))
    let last = Int((high / step + 1e-9).rounded(.down))
    return first > last ? [] : (first...last).map { Double($0) * step }
  }

  func share(_ value: Double) -> Double { (value - low) / (high - low) }

  func label(_ tick: Double) -> String {
    let digits = max(0, Int(-floor(log10(step) + 1e-9)))
    return String(format: "%.\(digits)f", tick)
  }
}
