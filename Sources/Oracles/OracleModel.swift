/// A model that judges: the file, opened once, and the kinds of judges that run one.

import Foundation
import GGUF
import Llama
import Tensors
import Tokenization

/// How models that judge are run.
public struct OracleRuntime: Sendable {
  public var kernels: Kernels
  public var precision: Precision
  /// Gets sentences worth reading.
  public var onNote: @Sendable (String) -> Void

  public init(
    kernels: Kernels, precision: Precision = .int16, onNote: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.kernels = kernels
    self.precision = precision
    self.onNote = onNote
  }
}

struct OracleModel: Sendable {
  let model: LlamaModel
  let tokenizer: Tokenizer
  let encoder: PromptEncoder

  /// - Throws: what opening a model throws.
  init(_ path: String, _ runtime: OracleRuntime) throws {
    let file = try GGUFFile.open(path)
    model = try LlamaModel(file, precision: runtime.precision, kernels: runtime.kernels)
    tokenizer = try Tokenizer(file.metadata)
    encoder = PromptEncoder(tokenizer: tokenizer, template: try ChatTemplate.inFile(file.metadata), raw: false)
  }
}

extension OracleKind {
  /// `pair:`, `judge:` and `reward:`.
  public static func models(_ runtime: OracleRuntime) -> [OracleKind] {
    [
      OracleKind("pair", favoursAnOrder: true, identity: facts) { path in try LetterOracle(pair: path, runtime) },
      OracleKind("judge", favoursAnOrder: true, identity: facts) { argument in
        let parts = argument.split(separator: "?", maxSplits: 1).map(String.init)
        return try LetterOracle(judge: parts[0], template: parts.count > 1 ? parts[1] : nil, runtime)
      },
      OracleKind("reward", favoursAnOrder: false, identity: facts) { path in try RewardOracle(path, runtime) },
    ]
  }

  /// Size and time of change of every file named: another file of the same name is another judge.
  private static func facts(_ argument: String) -> String {
    argument.split(separator: "?", maxSplits: 1).map { path in
      let facts = try? FileManager.default.attributesOfItem(atPath: String(path))
      let changed = (facts?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
      return "\(FileSystem.size(String(path)) ?? 0) \(changed)"
    }.joined(separator: "\n")
  }
}
