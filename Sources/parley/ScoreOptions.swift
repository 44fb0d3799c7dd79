/// What `score` runs under and on: policies with names, and records of which some may be left out.

import Adapters
import ArgumentParser
import Foundation
import Llama
import Scoring
import Tensors
import Tokenization

/// `base`, `FILE`, `FILE=SCALE` or `NAME=FILE[:SCALE]`.
struct NamedAdapter: ExpressibleByArgument {
  /// nil when the policy was not given a name.
  let name: String?
  /// nil for the base.
  let adapter: AdapterChoice?

  /// What it is called beside others: without a name of its own, as its file.
  var label: String {
    name ?? adapter.map { URL(fileURLWithPath: $0.path).deletingPathExtension().lastPathComponent } ?? Self.base
  }

  static let base = "base"

  init(_ name: String?, _ adapter: AdapterChoice?) {
    self.name = name
    self.adapter = adapter
  }

  init?(argument: String) {
    if argument == Self.base {
      self.init(nil, nil)
    } else if let plain = AdapterChoice(argument: argument) {
      self.init(nil, plain)
    } else if let equals = argument.firstIndex(of: "="), equals > argument.startIndex {
      let rest = argument[argument.index(after: equals)...]
      self.init(String(argument[..<equals]), AdapterChoice(fileAndScale: rest))
    } else {
      return nil
    }
  }

  func policy(_ model: LlamaModel) throws -> Policy { try adapter?.policy(model) ?? Policy(model) }
}

extension AdapterChoice {
  /// `FILE` or `FILE:SCALE`.
  fileprivate init(fileAndScale text: Substring) {
    if let colon = text.lastIndex(of: ":"), let scale = Float(text[text.index(after: colon)...]), scale.isFinite {
      self.init(path: String(text[..<colon]), scale: scale)
    } else {
      self.init(path: String(text), scale: 1)
    }
  }
}
