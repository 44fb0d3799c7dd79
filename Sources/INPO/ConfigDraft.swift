/// Settings as they are given, in a file and as options over it. What several of them decide together is settled when all
/// are known.

import Tensors

struct ConfigDraft {
  private var config = RunConfig()
  private var tau: Double?
  private var places: [String: Place] = [:]

  /// Where a setting was given: it names the error, and an option replaces what the file says.
  enum Place: Equatable {
    case line(Int, file: String)
    case option

    func bad(_ name: String, _ value: String, expects: String) -> ConfigError {
      switch self {
      case .line(let line, let file): .badValue(file: file, line: line, key: name, value: value, expects: expects)
      case .option: .badOption(name: name, value: value, expects: expects)
      }
    }

    func unknown(_ name: String) -> ConfigError {
      let nearest = ConfigDraft.nearest(to: name)
      return switch self {
      case .line(let line, let file): .unknownKey(file: file, line: line, key: name, nearest: nearest)
      case .option: .unknownOption(name: name, nearest: nearest)
      }
    }

    func unused(_ name: String, _ loss: RunConfig.LossName) -> ConfigError {
      switch self {
      case .line(let line, let file): .unused(file: file, line: line, key: name, loss: loss)
      case .option: .unusedOption(name: name, loss: loss)
      }
    }

    var tauAndRatio: ConfigError {
      switch self {
      case .line(let line, let file): .tauAndRatio(file: file, line: line)
      case .option: .tauAndRatioOptions
      }
    }
  }

  mutating func set(_ name: String, to value: String, at place: Place) throws(ConfigError) {
    if name == "tau" {
      guard let number = ConfigField.double(value), number >= 0 else {
        throw place.bad(name, value, expects: "a number from 0 to eta")
      }
      tau = number
    } else {
      guard let field = ConfigField.named(name) else { throw place.unknown(name) }
      // Options replace the file's list; each of them adds to their own.
      if case .line = places[name], place == .option { field.clear?(&config) }
      guard field.read(&config, value) else { throw place.bad(name, value, expects: field.expects) }
    }
    if let rival = ["tau": "ratio", "ratio": "tau"][name], let other = places[rival] {
      guard place == .option, other != .option else { throw place.tauAndRatio }
      places[rival] = nil
    }
    places[name] = place
  }

  /// - Throws: `ConfigError` for a setting the loss does not use, and for a tau above eta.
  func settled() throws(ConfigError) -> RunConfig {
    for (name, place) in places.sorted(by: { $0.key < $1.key }) {
      // tau is ratio in other words.
      guard let field = ConfigField.named(name == "tau" ? "ratio" : name) else { continue }
      guard field.losses.contains(config.loss) else { throw place.unused(name, config.loss) }
    }
    var settled = config
    if places["beta"] == nil { settled.beta = config.loss.usualBeta }
    guard let tau, let place = places["tau"] else { return settled }
    guard tau <= config.eta else { throw place.bad("tau", "\(tau)", expects: "at most eta, \(config.eta)") }
    settled.ratio = tau / config.eta
    return settled
  }

  /// The setting that is described by these very words ("learning_rate"), else the name with the fewest slips of the pen.
  private static func nearest(to name: String) -> String {
    let words = name.lowercased().split { $0 == "-" || $0 == "_" }.joined(separator: " ")
    if words.contains(" "), let meant = ConfigField.all.first(where: { $0.help.contains(words) }) { return meant.name }
    return nearestName(to: name, among: ConfigField.all.map(\.name) + ["tau"]) ?? ""
  }
}
