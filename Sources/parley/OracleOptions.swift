import ArgumentParser
import Foundation
import INPO
import Oracles
import OutsideOracles

/// Who judges, and how long it may take.
struct OracleOptions: ParsableArguments {
  @Option(help: "Who judges.")
  var oracle: String

  @Option(help: "Keep judgements of models, commands and servers in this file, and ask for none that is there.")
  var judgements: String?

  @Option(parsing: .unconditional, help: "Seconds a command or server may take for an answer. Default: 120.")
  var oracleTimeout: Double?

  @Option(parsing: .unconditional, help: "Requests at once to a server. Default: 8.")
  var oracleParallel: Int?

  func check() throws {
    if let oracleParallel { try Allowed.repetitions.check(oracleParallel, of: "--oracle-parallel") }
    if let oracleTimeout, !(oracleTimeout > 0 && oracleTimeout <= 1e6) {
      throw ValidationError("--oracle-timeout is \(oracleTimeout); give seconds above 0.")
    }
  }

  /// - Parameter oneOrder: ask no judge in both orders.
  func open(quiet: Bool, threads: Int? = nil, oneOrder: Bool = false) throws -> any PreferenceOracle {
    try check()
    var settings = RunConfig()
    if let oracleTimeout { settings.oracleTimeout = oracleTimeout }
    if let oracleParallel { settings.oracleParallel = oracleParallel }
    return try Oracle.parse(
      oracle, kinds: Self.kinds(settings, threads: threads, quiet: quiet), cache: JudgementCache(path: judgements),
      oneOrder: oneOrder)
  }

  /// All kinds of judges this program knows beside those of rules and files.
  static func kinds(_ settings: RunConfig, threads: Int?, quiet: Bool) throws -> [OracleKind] {
    let say: @Sendable (String) -> Void = { if !quiet { note($0) } }
    let runtime = OracleRuntime(kernels: try Session.kernels(threads: threads), onNote: say)
    let outside = OutsideOptions(
      timeLimit: settings.oracleTimeout, parallel: settings.oracleParallel,
      token: ProcessInfo.processInfo.environment["PARLEY_ORACLE_TOKEN"] ?? "", onNote: say)
    return OracleKind.models(runtime) + OracleKind.outside(outside)
  }
}
