/// The specs that name judges on the command line and in run files.

import Foundation
import Tensors

/// A kind of judge that a row above brings: one that runs a model, or asks another program.
public struct OracleKind: Sendable {
  /// What stands before the colon.
  public let name: String
  /// True for judges that may favour the answer they read first: they are asked in both orders.
  let favoursAnOrder: Bool
  /// Makes the judge from what stands behind it.
  let make: @Sendable (_ argument: String) throws -> any PreferenceOracle
  /// What else tells its judgements from those of another day: facts of the files it names.
  let identity: @Sendable (_ argument: String) -> String

  public init(
    _ name: String, favoursAnOrder: Bool, identity: @escaping @Sendable (String) -> String = { _ in "" },
    make: @escaping @Sendable (String) throws -> any PreferenceOracle
  ) {
    self.name = name
    self.favoursAnOrder = favoursAnOrder
    self.identity = identity
    self.make = make
  }
}

public enum Oracle {
  public static let known = [
    "rule:TERMS", "file:PATH", "matrix:PATH", "pair:MODEL", "reward:MODEL", "judge:MODEL?TEMPLATE", "command:COMMAND",
    "http:URL", "mixture:WEIGHT*SPEC;…",
  ]

  /// - Parameters:
  ///   - spec: one of the forms of `known`.
  ///   - kinds: the judges that other rows bring. Theirs are slow, so their judgements go through `cache`.
  ///   - oneOrder: ask no judge in both orders, to see what the order does to it.
  /// - Throws: `OracleError`, and what opening files throws.
  public static func parse(
    _ spec: String, kinds: [OracleKind] = [], cache: JudgementCache = JudgementCache(),
    oneOrder: Bool = false
  ) throws -> any PreferenceOracle {
    let (kind, argument) = try split(spec)
    if kind != "mixture" && argument.isEmpty { throw OracleError.needsPath(spec: spec) }
    switch kind {
    case "rule": return spec == "rule:concise" ? ConciseOracle() : try RuleOracle(argument)
    case "file": return try FileOracle(path: argument)
    case "matrix": return try MatrixOracle(path: argument)
    case "mixture":
      let parts = try parts(spec, argument).map { weight, part in
        (weight: weight, oracle: try parse(part, kinds: kinds, cache: cache, oneOrder: oneOrder))
      }
      return try MixtureOracle(name: spec, parts: parts)
    default:
      guard let outside = kinds.first(where: { $0.name == kind }) else { throw OracleError.notOffered(kind: kind) }
      let cached = CachedOracle(
        try outside.make(argument), identity: spec + "\n" + outside.identity(argument),
        ordersAgree: !outside.favoursAnOrder, cache: cache)
      return outside.favoursAnOrder && !oneOrder ? SwappedOracle(cached) : cached
    }
  }

  /// The files whose content decides what the judge says.
  public static func files(_ spec: String) throws(OracleError) -> [String] {
    let (kind, argument) = try split(spec)
    switch kind {
    case "file", "matrix", "pair", "reward": return [argument]
    case "judge": return argument.split(separator: "?", maxSplits: 1).map(String.init)
    case "mixture":
      var files: [String] = []
      for (_, part) in try parts(spec, argument) { files += try self.files(part) }
      return files
    default: return []
    }
  }

  private static func split(_ spec: String) throws(OracleError) -> (kind: String, argument: String) {
    guard let colon = spec.firstIndex(of: ":") else { throw .unknown(spec: spec) }
    let kind = String(spec[..<colon])
    guard known.contains(where: { $0.hasPrefix(kind + ":") }) else { throw .unknown(spec: spec) }
    return (kind, String(spec[spec.index(after: colon)...]))
  }

  private static func parts(
    _ spec: String, _ argument: String
  ) throws(OracleError) -> [(weight: Double, spec: String)] {
    var parts: [(weight: Double, spec: String)] = []
    for part in argument.split(separator: ";") {
      let text = part.trimmingCharacters(in: .whitespaces)
      guard let star = text.firstIndex(of: "*"), let weight = Double(text[..<star]) else {
        throw .badSpec(spec: spec, reason: "its part '\(text)' is not WEIGHT*SPEC")
      }
      let inner = String(text[text.index(after: star)...])
      guard !inner.hasPrefix("mixture:") else { throw .badSpec(spec: spec, reason: "a mixture holds no mixture") }
      parts.append((weight, inner))
    }
    return parts
  }
}
