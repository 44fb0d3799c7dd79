import Foundation

/// σ(x).
func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

/// log σ(x) without overflow for large negative x.
func logSigmoid(_ x: Double) -> Double { min(x, 0) - log1p(exp(-abs(x))) }
