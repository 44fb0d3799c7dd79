import Foundation

/// Mirostat 2 (Basu et al. 2021, arXiv 2007.14966): drops tokens more surprising than a limit, and moves the limit after each
/// draw so that the surprise stays near its target. The most probable token is always left.
public struct Mirostat: Equatable, Sendable, SamplerStage {
  /// The surprise aimed at, in bits a token.
  public var target: Double
  /// How much of the error of one draw moves the limit.
  public var rate: Double

  public init(target: Double = 5, rate: Double = 0.1) {
    self.target = target
    self.rate = rate
  }

  static let off = Mirostat(target: .infinity)

  var isOn: Bool { target.isFinite }

  func check() throws(SamplerError) {
    guard target.isFinite, target > 0 else { throw .value("mirostat-ent", "\(target)", "above 0") }
    guard rate.isFinite, rate > 0 else { throw .value("mirostat-lr", "\(rate)", "above 0") }
  }

  func apply(to candidates: inout Candidates, _ situation: DrawSituation) {
    let limit = situation.surpriseLimit ?? 2 * target
    let least = min(candidates.logSum() - limit * log(2), Double(candidates.maximum))
    candidates.keep { Double($0.logit) >= least }
  }

  /// The limit for the next draw.
  ///
  /// - Parameter logProb: of the token that was drawn, among the candidates that were left.
  func limit(after logProb: Float, _ limit: Double?) -> Double {
    (limit ?? 2 * target) - rate * (-Double(logProb) / log(2) - target)
  }
}
