/// Causal grouped-query attention over one sequence (Vaswani et al. 2017; Ainslie et al. 2023, arXiv 2305.13245),
/// forward and backward. Query head h reads key/value head h / (H / K).

import Foundation

/// out `[T, H·E]` and the probabilities `[H·T, T]` (row h·T + t holds head h at position t; zero beyond t, and
/// before the window).
public func twinAttention(
  q: TwinTensor, k: TwinTensor, v: TwinTensor, _ config: TwinConfig
) -> (out: TwinTensor, probabilities: TwinTensor) {
  let (length, width) = (q.rows, config.headDim)
  func firstSeen(_ t: Int) -> Int { max(0, t + 1 - (config.window ?? length)) }
  let scale = config.attentionScale ?? 1 / Double(width).squareRoot()
  var out = TwinTensor(zerosLike: q)
  var p = TwinTensor(zeros: config.headCount * length, length)
  for h in 0..<config.headCount {
    let (ofQuery, ofKey) = offsets(h, config)
    for t in 0..<length {
      let row = h * length + t
      var maximum = -Double.infinity
      for s in firstSeen(t)...t {
        for e in 0..<width { p[row, s] += scale * q[t, ofQuery + e] * k[s, ofKey + e] }
        maximum = max(maximum, p[row, s])
      }
      for s in firstSeen(t)...t { p[row, s] = exp(p[row, s] - maximum) }
      let sum = p.row(row).reduce(0, +)
      for s in firstSeen(t)...t {
        p[row, s] /= sum
        for e in 0..<width { out[t, ofQuery + e] += p[row, s] * v[s, ofKey + e] }
      }
    }
  }
  return (out, p)
}

/// With out = Σ_s p_s v_s, p = softmax(z), z_s = scale · q·k_s:
/// dv_s += p_s dout, dp_s = dout·v_s, dz_s = p_s (dp_s − Σ_r p_r dp_r), dq += scale Σ dz_s k_s, dk_s += scale dz_s q.
public func twinAttentionBackward(
  _ dq: inout TwinTensor, _ dk: inout TwinTensor, _ dv: inout TwinTensor, from dOut: TwinTensor,
  at q: TwinTensor, _ k: TwinTensor, _ v: TwinTensor, _ p: TwinTensor, _ config: TwinConfig
) {
  let (length, width) = (q.rows, config.headDim)
  func firstSeen(_ t: Int) -> Int { max(0, t + 1 - (config.window ?? length)) }
  let scale = config.attentionScale ?? 1 / Double(width).squareRoot()
  for h in 0..<config.headCount {
    let (ofQuery, ofKey) = offsets(h, config)
    for t in 0..<length {
      let row = h * length + t
      var dp = [Double](repeating: 0, count: t + 1)
      var mean = 0.0
      for s in firstSeen(t)...t {
        for e in 0..<width {
          dp[s] += dOut[t, ofQuery + e] * v[s, ofKey + e]
          dv[s, ofKey + e] += p[row, s] * dOut[t, ofQuery + e]
        }
        mean += p[row, s] * dp[s]
      }
      for s in firstSeen(t)...t {
        let dz = scale * p[row, s] * (dp[s] - mean)
        for e in 0..<width {
          dq[t, ofQuery + e] += dz * k[s, ofKey + e]
          dk[s, ofKey + e] += dz * q[t, ofQuery + e]
        }
      }
    }
  }
}

/// First column of query head `h`, and of the key/value head it reads.
private func offsets(_ h: Int, _ config: TwinConfig) -> (query: Int, key: Int) {
  (h * config.headDim, h / (config.headCount / config.kvHeadCount) * config.headDim)
}
