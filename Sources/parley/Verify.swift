import Adapters
import ArgumentParser
import Foundation
import GGUF
import Llama
import Tensors

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check an adapter against its model, and show how much it changes; or compare two adapters.",
    discussion: """
      An adapter that is no adapter for the model, or has values that are not finite, ends with exit code 65. The table has the rank, \
      the scale, ‖ΔW‖ and ‖ΔW‖ / ‖W‖ of each layer (Frobenius norms); with --against the distance ‖ΔW − ΔW'‖ / ‖ΔW‖ and the cosine \
      between the changes.
      """)

  @Argument(help: ArgumentHelp("A GGUF file, a PEFT folder, or a folder of mlx-lm.", valueName: "adapter"))
  var path: String

  @Option(help: "The model it is for.")
  var model: String

  @Option(help: "Another adapter of any format.")
  var against: String?

  @Flag(help: "One JSON object.")
  var json = false

  func run() throws {
    let file = try GGUFFile.open(model)
    let base = try LlamaModel(file, precision: .int16, kernels: Session.kernels(threads: nil), context: 1)
    let adapter = try LoRAAdapter.read(path, for: base.loraBase)
    let other = try against.map { try LoRAAdapter.read($0, for: base.loraBase) }
    let report = try AdapterReport(adapter, other, file, modelName: base.name)
    if json { try Output.json(report) } else { try Output.text(report.text) }
  }
}

/// What `verify` found. Sizes are Frobenius norms.
private struct AdapterReport: Encodable {
  struct Layer: Encodable {
    let name: String
    let rank: Int
    let scale: Float
    let size: Double
    /// ‖ΔW‖ / ‖W‖; null for a W of zeros.
    let effect: Double?
    /// ‖ΔW − ΔW'‖ / ‖ΔW‖ and the cosine, when there is another adapter.
    let difference: Double?
    let cosine: Double?
  }

  let architecture: String
  /// The model the adapter names, and the one it is checked against.
  let base: String?
  let model: String?
  let facts: [String: String]
  let layers: [Layer]
  /// Layers of the other adapter that this one does not have.
  let onlyInOther: [String]

  enum CodingKeys: String, CodingKey {
    case architecture, base, model, facts, layers
    case onlyInOther = "only_in_other"
  }

  init(_ adapter: LoRAAdapter, _ other: LoRAAdapter?, _ file: GGUFFile, modelName: String?) throws {
    architecture = adapter.architecture
    (base, model, facts) = (adapter.origin.base, modelName, adapter.origin.facts)
    let comparisons = other.map { adapter.compared(with: $0) } ?? []
    let byName = Dictionary(comparisons.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    layers = try adapter.modules.map { module in
      let size = adapter.size(of: module)
      let weight = Self.size(of: try file.weight(module.name))
      let comparison = byName[module.name]
      return Layer(
        name: module.name, rank: module.rank, scale: adapter.scale(of: module), size: size,
        effect: weight > 0 ? size / weight : nil,
        difference: comparison.flatMap { size > 0 ? $0.difference / size : nil }, cosine: comparison?.cosine)
    }
    let known = Set(adapter.modules.map(\.name))
    onlyInOther = comparisons.map(\.name).filter { !known.contains($0) }
  }

  /// ‖W‖, a row at a time.
  private static func size(of weight: WeightView) -> Double {
    let row = Buffer<Float>(count: weight.columns)
    var sum = 0.0
    for index in 0..<weight.rows {
      guard let start = weight.rows(index..<(index + 1)).bytes.baseAddress else { continue }
      dequantize(row.pointer, from: start, format: weight.format, count: row.count)
      sum += row.span.reduce(0) { $0 + Double($1) * Double($1) }
    }
    return sum.squareRoot()
  }

  var text: String {
    func number(_ value: Double?) -> String { value.map { String(format: "%.4g", $0) } ?? "-" }
    let compares = layers.contains { $0.difference != nil || $0.cosine != nil }
    var rows = [["layer", "rank", "scale", "‖ΔW‖", "‖ΔW‖/‖W‖"] + (compares ? ["distance", "cosine"] : [])]
    for layer in layers {
      let own = [layer.name, "\(layer.rank)", number(Double(layer.scale)), number(layer.size), number(layer.effect)]
      rows.append(own + (compares ? [number(layer.difference), number(layer.cosine)] : []))
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let lines = rows.map { row in
      zip(row, widths).enumerated().map { column, cell in
        let gap = String(repeating: " ", count: cell.1 - cell.0.count)
        return column == 0 ? cell.0 + gap : gap + cell.0
      }.joined(separator: "  ")
    }
    var head = "\(layers.count) adapted layers for \(architecture), all values finite, all shapes as in the model.\n"
    if let base { head += "It says that it was made over '\(base)'; this model is '\(model ?? "without a name")'.\n" }
    for (key, value) in facts.sorted(by: { $0.key < $1.key }) { head += "\(key): \(value)\n" }
    for name in onlyInOther { head += "Only the other adapter changes \(name).\n" }
    return head + lines.joined(separator: "\n") + "\n"
  }
}
