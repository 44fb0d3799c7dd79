/// What can be wrong with a setting, by its line in the run file or by its name on the command line.

public enum ConfigError: Error, Equatable, CustomStringConvertible {
  case notYAML(file: String, line: Int, reason: String)
  case notAMapping(file: String)
  case unknownKey(file: String, line: Int, key: String, nearest: String)
  case badValue(file: String, line: Int, key: String, value: String, expects: String)
  case tauAndRatio(file: String, line: Int)
  case missing(file: String, key: String)
  case unknownOption(name: String, nearest: String)
  case badOption(name: String, value: String, expects: String)
  case tauAndRatioOptions
  case unused(file: String, line: Int, key: String, loss: RunConfig.LossName)
  case unusedOption(name: String, loss: RunConfig.LossName)

  /// True when the command line is to blame, not the file.
  public var isUsage: Bool {
    switch self {
    case .unknownOption, .badOption, .tauAndRatioOptions, .unusedOption: true
    default: false
    }
  }

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
    case .tauAndRatioOptions: "tau and ratio say the same thing (ratio is tau/eta). Give one of them."
    case .unused(let file, let line, let key, let loss):
      "Line \(line) of '\(file)' sets '\(key)', which the loss \(loss.rawValue) does not use. Remove it, or choose another loss."
    case .unusedOption(let name, let loss):
      "'\(name)' is given, but the loss \(loss.rawValue) does not use it. Leave it out, or choose another loss."
    }
  }
}
