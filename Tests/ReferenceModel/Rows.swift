/// Operations on single rows: RMSNorm, rotary positions, SwiGLU, log-probabilities; each with its backward beside it.
/// A backward adds to its outputs.

import Foundation

/// y = x / √(mean(x²) + eps) · w (Zhang & Sennrich 2019, arXiv 1910.07467), `[T, D]`; w `[1, D]`.
public func twinRMSNorm(_ x: TwinTensor, _ w: TwinTensor, eps: Double) -> TwinTensor {
  var y = x
  for t in 0..<x.rows {
    let inverse = inverseRMS(x.row(t), eps)
    for i in 0..<x.columns { y[t, i] = x[t, i] * inverse * w[0, i] }
  }
  return y
}

/// With r = 1 / √(mean(x²) + eps) and g = dy · w, both in y = r x w depend on x, and dr/dx_i = −r³ x_i / D:
/// dx_i += r g_i − r³ x_i / D · Σ_j g_j x_j.
public func twinRMSNormBackward(
  _ dx: inout TwinTensor, from dy: TwinTensor, at x: TwinTensor, _ w: TwinTensor, eps: Double
) {
  for t in 0..<x.rows {
    let r = inverseRMS(x.row(t), eps)
    var gx = 0.0
    for i in 0..<x.columns { gx += dy[t, i] * w[0, i] * x[t, i] }
    for i in 0..<x.columns {
      dx[t, i] += r * dy[t, i] * w[0, i] - r * r * r * x[t, i] / Double(x.columns) * gx
    }
  }
}

private func inverseRMS(_ row: ArraySlice<Double>, _ eps: Double) -> Double {
  let squares = row.reduce(0) { $0 + $1 * $1 }
  return 1 / (squares / Double(row.count) + eps).squareRoot()
}

/// Turns the pair (2i, 2i+1), or (i, i + E/2), of every head of row t by t · base^(−2i/E) / ropeFreqs[i], stretched (Su et al.
/// 2021, arXiv 2104.09864), and multiplies by the magnitude. Row t has position `first` + t. `inverse` turns back, times the
/// magnitude again: the backward.
public func twinRoPE(
  _ x: TwinTensor, _ config: TwinConfig, first: Int = 0, ofQueries: Bool = false, inverse: Bool = false
) -> TwinTensor {
  var y = x
  for t in 0..<x.rows {
    var size = config.magnitude
    if ofQueries, let temperature = config.temperature {
      size *= 1 + temperature.slope * log(1 + Double((first + t) / temperature.length))
    }
    for i in 0..<config.headDim / 2 {
      let angle = Double(first + t) * config.frequency(i) * (inverse ? -1 : 1)
      let (one, other) = config.turnsHalves ? (i, i + config.headDim / 2) : (2 * i, 2 * i + 1)
      for start in stride(from: 0, to: x.columns, by: config.headDim) {
        let (a, b) = (x[t, start + one], x[t, start + other])
        y[t, start + one] = size * (a * cos(angle) - b * sin(angle))
        y[t, start + other] = size * (a * sin(angle) + b * cos(angle))
      }
    }
  }
  return y
}

/// RMSNorm of every head of every row; w `[1, E]`.
func twinHeadNorm(_ x: TwinTensor, _ w: TwinTensor, eps: Double) -> TwinTensor {
  var y = x
  y.values = twinRMSNorm(byHead(x, w.columns), w, eps: eps).values
  return y
}

func twinHeadNormBackward(_ dx: inout TwinTensor, from dy: TwinTensor, at x: TwinTensor, _ w: TwinTensor, eps: Double) {
  var sum = byHead(dx, w.columns)
  twinRMSNormBackward(&sum, from: byHead(dy, w.columns), at: byHead(x, w.columns), w, eps: eps)
  dx.values = sum.values
}

private func byHead(_ x: TwinTensor, _ width: Int) -> TwinTensor {
  TwinTensor(rows: x.values.count / width, columns: width, values: x.values)
}

/// silu(gate) · up, silu(g) = g σ(g) (Shazeer 2020, arXiv 2002.05202).
public func twinSwiGLU(_ gate: TwinTensor, _ up: TwinTensor) -> TwinTensor {
  var out = gate
  for i in out.values.indices {
    out.values[i] = gate.values[i] * sigmoid(gate.values[i]) * up.values[i]
  }
  return out
}

/// d silu/dg = σ(g) (1 + g (1 − σ(g))).
public func twinSwiGLUBackward(
  _ dGate: inout TwinTensor, _ dUp: inout TwinTensor, from dOut: TwinTensor, at gate: TwinTensor, _ up: TwinTensor
) {
  for i in dOut.values.indices {
    let g = gate.values[i]
    let s = sigmoid(g)
    dGate.values[i] += dOut.values[i] * up.values[i] * s * (1 + g * (1 - s))
    dUp.values[i] += dOut.values[i] * g * s
  }
}

private func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

/// log Σ_v exp(logits[t, v]) of each row.
public func twinLogSumExp(_ logits: TwinTensor) -> [Double] {
  (0..<logits.rows).map { t in
    let row = logits.row(t)
    let maximum = row.reduce(-.infinity, max)
    return maximum + log(row.reduce(0) { $0 + exp($1 - maximum) })
  }
}

/// logp[t] = logits[t, target[t]] − log-sum-exp of row t, for the first `targets.count` rows.
public func twinLogProbs(_ logits: TwinTensor, _ logSum: [Double], targets: [Int]) -> [Double] {
  targets.indices.map { t in logits[t, targets[t]] - logSum[t] }
}

/// d logp[t] / d logits[t, v] = (v == target[t]) − softmax[t, v].
public func twinLogProbsBackward(
  _ dLogits: inout TwinTensor, from dLogProbs: [Double], at logits: TwinTensor, _ logSum: [Double], targets: [Int]
) {
  for t in targets.indices where dLogProbs[t] != 0 {
    for v in 0..<logits.columns { dLogits[t, v] -= dLogProbs[t] * exp(logits[t, v] - logSum[t]) }
    dLogits[t, targets[t]] += dLogProbs[t]
  }
}
