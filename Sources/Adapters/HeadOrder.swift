import Tensors

/// The two orders of the rows of q and k. Hugging Face has a head's rows as [first half | second half], because it turns row i with
/// row i + E/2; some architectures' GGUF files have the halves interleaved: `gguf[h·E + 2i + j] = hf[h·E + j·E/2 + i]`.
///
/// Permuting the rows of W = B A permutes those of B; A stays.
struct HeadOrder {
  let headDim: Int
  let pairs: RotaryPairs

  /// B of a module in Hugging Face's order. The same matrix where the orders do not differ.
  func toHuggingFace(_ b: Matrix, of name: String) throws(AdapterError) -> Matrix {
    try moved(b, name) { gguf, hf, out in _ = out.row(hf).update(fromContentsOf: b.row(gguf)) }
  }

  /// The inverse.
  func toGGUF(_ b: Matrix, of name: String) throws(AdapterError) -> Matrix {
    try moved(b, name) { gguf, hf, out in _ = out.row(gguf).update(fromContentsOf: b.row(hf)) }
  }

  private func moved(
    _ b: Matrix, _ name: String, _ move: (_ gguf: Int, _ hf: Int, _ out: Matrix) -> Void
  ) throws(AdapterError) -> Matrix {
    guard pairs == .neighbours, let target = LoRATarget.parse(tensorName: name)?.target,
      target == .attnQ || target == .attnK
    else { return b }
    guard headDim > 0, headDim.isMultiple(of: 2), b.rows.isMultiple(of: headDim) else {
      throw .heads(tensor: name, rows: b.rows, headDim: headDim)
    }
    let out = Matrix(b.rows, b.columns)
    for row in 0..<b.rows {
      let (start, within) = (row / headDim * headDim, row % headDim)
      move(row, start + within % 2 * (headDim / 2) + within / 2, out)
    }
    return out
  }
}
