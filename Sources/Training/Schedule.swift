/// The learning rate of each step: a warm-up, then a shape. A value; it keeps no count of its own.

import Foundation

public struct Schedule: Equatable, Sendable {
  public enum Shape: String, CaseIterable, Codable, Sendable {
    case constant, cosine, linear
  }

  public enum WarmUp: Equatable, Sendable {
    case steps(Int)
    /// Share of all steps, rounded up as in Transformers.
    case ratio(Double)

    public func steps(of total: Int) -> Int {
      switch self {
      case .steps(let count): min(max(count, 0), total)
      case .ratio(let share): min(Int((max(share, 0) * Double(total)).rounded(.up)), total)
      }
    }
  }

  public var shape: Shape
  public var peak: Double
  public var warmUp: WarmUp

  public init(_ shape: Shape, peak: Double, warmUp: WarmUp = .steps(0)) {
    self.shape = shape
    self.peak = peak
    self.warmUp = warmUp
  }

  /// The rate of step `step` (from 0) of `total`.
  ///
  /// Warm-up rises in equal parts over `w` steps: peak·(s+1)/(w+1), so that no step has rate zero and step `w` has the
  /// peak. After it, with p = (s−w)/(total−w): cosine is peak·(1+cos πp)/2, linear is peak·(1−p).
  public func rate(at step: Int, of total: Int) -> Double {
    precondition(step >= 0 && step < total, "step \(step) is outside 0..<\(total)")
    let warm = warmUp.steps(of: total)
    if step < warm { return peak * Double(step + 1) / Double(warm + 1) }
    let progress = Double(step - warm) / Double(total - warm)
    return switch shape {
    case .constant: peak
    case .cosine: peak * (1 + cos(.pi * progress)) / 2
    case .linear: peak * (1 - progress)
    }
  }
}
