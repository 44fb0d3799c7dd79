import Adapters
import ArgumentParser
import Foundation
import GGUF
import Llama
import Tensors

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write an adapter, or several as one, as a GGUF file or a PEFT folder.",
    discussion: """
      Both load in llama.cpp (gguf) and PEFT (peft) as they are. Several adapters become one whose change is their weighted sum, \
      exactly: ranks add up. --rank keeps the largest singular values of each layer instead.
      """)

  enum Target: String, ExpressibleByArgument, CaseIterable {
    case gguf, peft
  }

  enum StoredType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q8_0

    var format: WeightFormat {
      switch self {
      case .f32: .f32
      case .f16: .f16
      case .bf16: .bf16
      case .q8_0: .q8_0
      }
    }
  }

  @Argument(
    help: ArgumentHelp(
      "Adapters (a GGUF file, a PEFT folder, a folder of mlx-lm), each with a weight if wished: FILE or FILE=WEIGHT.",
      valueName: "adapter"))
  var adapters: [AdapterChoice]

  @Option(help: "The model the adapter was trained on; it is checked against it.")
  var model: String

  @Option(help: "What to write.")
  var to: Target

  @Option(help: "The file (gguf) or folder (peft) to write.")
  var out: String

  @Option(help: "How values are stored; q8_0 for gguf only, and only factors whose rows are whole blocks of 32.")
  var type: StoredType = .f32

  @Option(parsing: .unconditional, help: "Reduce each layer to this rank by singular values, and say what is lost.")
  var rank: Int?

  @Option(help: "The base model's name on its hub, for a PEFT folder; without it the one the adapter itself names.")
  var baseName: String?

  func check() throws {
    if to == .peft && type == .q8_0 { throw ValidationError("PEFT reads no q8_0: choose f32, f16 or bf16.") }
    if to != .peft && baseName != nil { throw ValidationError("--base-name is for --to peft. Leave it out.") }
    if let rank { try (1...4096).check(rank, of: "--rank") }
  }

  func run() throws {
    try check()
    let base = try LlamaModel(
      GGUFFile.open(model), precision: .int16, kernels: Session.kernels(threads: nil), context: 1)
    let adapter = try combined(for: base.loraBase)
    switch to {
    case .gguf: try adapter.write(gguf: out, format: type.format)
    case .peft:
      try adapter.writePEFT(
        folder: out, headDim: base.config.headDim, pairs: base.config.architecture.rotaryPairs,
        baseName: baseName ?? adapter.origin.base.flatMap(Self.hubName), format: type.format)
    }
    note("Wrote \(adapter.modules.count) adapted layers to '\(out)'.")
  }

  /// The one adapter as it is, or the sum of all.
  private func combined(for base: LoRABase) throws -> LoRAAdapter {
    let parts = try adapters.map { (adapter: try LoRAAdapter.read($0.path, for: base), weight: $0.scale) }
    var adapter = parts.count == 1 && parts[0].weight == 1 ? parts[0].adapter : try LoRAAdapter.combined(parts)
    if parts.count > 1 {
      let facts = [("sum of", zip(adapters, parts).map { "\($1.weight) × \($0.name)" }.joined(separator: ", "))]
      adapter.origin.facts = Dictionary(facts, uniquingKeysWith: { first, _ in first })
    }
    if adapter.origin.base == nil { adapter.origin.base = base.name }
    guard let rank else { return adapter }
    let (reduced, lost) = adapter.reduced(to: rank)
    if let worst = lost.max(by: { $0.share < $1.share }) {
      let mean = lost.reduce(0) { $0 + $1.share } / Double(lost.count)
      func percent(_ share: Double) -> String { String(format: "%.3g %%", 100 * share) }
      note(
        "Rank \(rank) loses \(percent(mean)) of a layer's change in the mean, \(percent(worst.share)) of \(worst.name)."
      )
    }
    return reduced
  }

  /// What looks like the name of a model on a hub: one slash, no path.
  private static func hubName(_ name: String) -> String? {
    name.split(separator: "/", omittingEmptySubsequences: false).count == 2 && !name.hasPrefix("/")
      && !name.hasPrefix(".") && !name.hasSuffix("/") ? name : nil
  }
}

extension AdapterChoice {
  /// The file's name without its folder.
  fileprivate var name: String { URL(fileURLWithPath: path).lastPathComponent }
}
