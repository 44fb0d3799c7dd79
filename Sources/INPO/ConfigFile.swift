/// The run file: YAML, one `name: value` a line. Every mistake is named with its line.

import Foundation
import Tensors
import Yams

public enum ConfigError: Error, Equatable, CustomStringConvertible {
  case notYAML(file: String, line: Int, reason: String)
  case notAMapping(file: String)
  case unknownKey(file: String, line: Int, key: String, nearest: String)
  case badValue(file: String, line: Int, key: String, value: String, expects: String)
  case tauAndRatio(file: String, line: Int)
  case missing(file: String, key: String)
  case unknownOption(name: String, nearest: String)
  case badOption(name: String, value: String, expects: String)

  public var description: String {
    switch self {
    case .notYAML(let file, let line, let reason):
      "Line \(line) of '\(file)' is not YAML: \(reason). Write one 'name: value' a line."
    case .notAMapping(let file): "'\(file)' holds no settings. Write one 'name: value' a line."
    case .unknownKey(let file, let line, let key, let nearest):
      "Line \(line) of '\(file)' sets '\(key)', which is not known. Did you mean '\(nearest)'?"
    case .badValue(let file, let line, let key, let value, let expects):
      "Line \(line) of '\(file)': '\(key)' must be \(expects), not '\(value)'."
    case .tauAndRatio(let file, let line):
      "Line \(line) of '\(file)': tau and ratio say the same thing (ratio is tau/eta). Keep one of them."
    case .missing(let file, let key): "'\(file)' does not set '\(key)'. Add it."
    case .unknownOption(let name, let nearest): "There is no setting '\(name)'. Did you mean '\(nearest)'?"
    case .badOption(let name, let value, let expects): "'\(name)' must be \(expects), not '\(value)'."
    }
  }
}

extension RunConfig {
  /// - Throws: `FileError` when it cannot be read, `ConfigError` for what it says.
  public static func read(_ path: String) throws -> RunConfig {
    let text = String(decoding: try AtomicFile.read(path), as: UTF8.self)
    return try RunConfig(yaml: text, file: path)
  }

  /// - Parameter file: the name used in errors.
  public init(yaml: String, file: String) throws(ConfigError) {
    let root: Node?
    do {
      root = try Yams.compose(yaml: yaml)
    } catch {
      throw Self.yamlError(error, file)
    }
    guard let mapping = root?.mapping else { throw .notAMapping(file: file) }
    self.init()
    var tau: Double?
    var ratioGiven = false
    for (keyNode, node) in mapping {
      let key = keyNode.string ?? ""
      let line = keyNode.mark?.line ?? 0
      guard let value = node.scalar?.string else {
        throw .badValue(file: file, line: line, key: key, value: "a list or a group", expects: "a single value")
      }
      if key == "tau" {
        guard let number = ConfigField.double(value), number >= 0 else {
          throw .badValue(file: file, line: line, key: key, value: value, expects: "a number from 0 to eta")
        }
        tau = number
      } else {
        guard let field = ConfigField.named(key) else {
          throw .unknownKey(file: file, line: line, key: key, nearest: Self.nearest(to: key))
        }
        guard field.read(&self, value) else {
          throw .badValue(file: file, line: line, key: key, value: value, expects: field.expects)
        }
      }
      ratioGiven = ratioGiven || key == "ratio"
      if ratioGiven && tau != nil { throw .tauAndRatio(file: file, line: line) }
    }
    if let tau {
      guard tau <= eta else {
        let line = mapping.first { $0.key.string == "tau" }?.key.mark?.line ?? 0
        throw .badValue(file: file, line: line, key: "tau", value: "\(tau)", expects: "at most eta, \(eta)")
      }
      ratio = tau / eta
    }
  }

  /// Throws unless the settings a run cannot do without are there.
  public func requireInputs(file: String) throws(ConfigError) {
    if model.isEmpty { throw .missing(file: file, key: "model") }
    if prompts.isEmpty { throw .missing(file: file, key: "prompts") }
  }

  /// Sets one setting by name, as a command-line option does.
  public mutating func set(_ name: String, to value: String) throws(ConfigError) {
    if name == "tau" {
      guard let tau = ConfigField.double(value), tau >= 0, tau <= eta else {
        throw .badOption(name: name, value: value, expects: "a number from 0 to eta, \(eta)")
      }
      ratio = tau / eta
      return
    }
    guard let field = ConfigField.named(name) else {
      throw .unknownOption(name: name, nearest: Self.nearest(to: name))
    }
    guard field.read(&self, value) else { throw .badOption(name: name, value: value, expects: field.expects) }
  }

  /// Every setting with its value, defaults too. Reads back to an equal configuration.
  public var yaml: String {
    let lines = ConfigField.all.map { field in
      (setting: "\(field.name): \(Self.quoted(field.show(self)))", help: field.help)
    }
    let width = lines.map(\.setting.count).filter { $0 <= 40 }.max() ?? 0
    return lines.map { line in
      line.setting + String(repeating: " ", count: max(0, width - line.setting.count)) + "  # " + line.help + "\n"
    }.joined()
  }

  /// Writes `config.yaml`, whole or not at all.
  public func write(to path: String) throws(FileError) { try AtomicFile.write(Array(yaml.utf8), to: path) }

  /// Plain when YAML reads it back as the same single text, else in double quotes.
  private static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "_-./:+".contains($0) }
    if plain, let first = text.first, first != "-", first != ":", text.last != ":" { return text }
    if plain, Double(text) != nil { return text }
    var quoted = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\" + String(scalar)
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return "\"" + quoted + "\""
  }

  /// The setting that is described by these very words ("learning_rate"), else the name with the fewest slips of the pen.
  private static func nearest(to name: String) -> String {
    let words = name.lowercased().split { $0 == "-" || $0 == "_" }.joined(separator: " ")
    if words.contains(" "), let meant = ConfigField.all.first(where: { $0.help.contains(words) }) { return meant.name }
    return nearestName(to: name, among: ConfigField.all.map(\.name) + ["tau"]) ?? ""
  }

  private static func yamlError(_ error: any Error, _ file: String) -> ConfigError {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      .notYAML(file: file, line: mark.line, reason: problem)
    case YamlError.duplicatedKeysInMapping(let duplicates, let context):
      .notYAML(
        file: file, line: context.mark.line,
        reason: "it sets \(duplicates.map { "'\($0)'" }.joined(separator: ", ")) twice")
    default: .notYAML(file: file, line: 1, reason: "\(error)")
    }
  }
}
