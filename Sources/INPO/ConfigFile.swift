/// The run file: YAML, one `name: value` a line. Every mistake is named with its line.

import Tensors
import Yams

extension RunConfig {
  /// One setting from the command line, as text.
  public typealias Option = (name: String, value: String)

  /// The defaults with `options` over them.
  public init(options: [Option]) throws(ConfigError) {
    var draft = ConfigDraft()
    for option in options { try draft.set(option.name, to: option.value, at: .option) }
    self = try draft.settled()
  }

  /// - Parameter options: settings over those of the file.
  /// - Throws: `FileError` when it cannot be read, `ConfigError` for what it says.
  public static func read(_ path: String, options: [Option] = []) throws -> RunConfig {
    let text = String(decoding: try AtomicFile.read(path), as: UTF8.self)
    return try RunConfig(yaml: text, file: path, options: options)
  }

  /// - Parameter file: the name used in errors.
  public init(yaml: String, file: String, options: [Option] = []) throws(ConfigError) {
    let root: Node?
    do {
      root = try Yams.compose(yaml: yaml)
    } catch {
      throw Self.yamlError(error, file)
    }
    guard let mapping = root?.mapping else { throw .notAMapping(file: file) }
    var draft = ConfigDraft()
    for (keyNode, node) in mapping {
      let key = keyNode.string ?? ""
      let place = ConfigDraft.Place.line(keyNode.mark?.line ?? 0, file: file)
      let isList = ConfigField.named(key)?.isList == true
      for value in isList ? node.sequence.map(Array.init) ?? [node] : [node] {
        guard let value = value.scalar?.string else {
          throw place.bad(key, "a list or a group", expects: isList ? "a list of values" : "a single value")
        }
        try draft.set(key, to: value, at: place)
      }
    }
    for option in options { try draft.set(option.name, to: option.value, at: .option) }
    self = try draft.settled()
  }

  /// Throws unless the settings a run cannot do without are there.
  public func requireInputs(file: String) throws(ConfigError) {
    if model.isEmpty { throw .missing(file: file, key: "model") }
    if prompts.isEmpty { throw .missing(file: file, key: "prompts") }
  }

  /// Every setting of this loss with its value, defaults too. Reads back to an equal configuration.
  public var yaml: String {
    let lines = ConfigField.all.filter { $0.losses.contains(loss) }.map { field in
      (setting: "\(field.name): \(field.isList ? field.show(self) : Self.quoted(field.show(self)))", help: field.help)
    }
    let width = lines.map(\.setting.count).filter { $0 <= 40 }.max() ?? 0
    return lines.map { line in
      line.setting + String(repeating: " ", count: max(0, width - line.setting.count)) + "  # " + line.help + "\n"
    }.joined()
  }

  /// Writes `config.yaml`, whole or not at all.
  public func write(to path: String) throws(FileError) { try AtomicFile.write(Array(yaml.utf8), to: path) }

  /// The settings that decide the bits of the result, by name.
  public var deciding: [String: String] {
    let fields = ConfigField.all.filter { $0.decidesBits && $0.losses.contains(loss) }
    return Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0.show(self)) })
  }

  /// Plain when YAML reads it back as the same single text, else in double quotes.
  private static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "_-./:+".contains($0) }
    if plain, let first = text.first, first != "-", first != ":", text.last != ":" { return text }
    if plain, Double(text) != nil { return text }
    return doubleQuoted(text)
  }

  static func doubleQuoted(_ text: String) -> String {
    var quoted = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\" + String(scalar)
      case "\n": quoted += "\\n"
      case "\r": quoted += "\\r"
      case "\t": quoted += "\\t"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return "\"" + quoted + "\""
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
