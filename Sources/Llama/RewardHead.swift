/// The head of a reward model: a sequence classifier of one class, no activation. Score = w · h + b, where h is the last token's
/// output after the final norm.

import Tensors

public struct RewardHead: Sendable {
  /// `[D]`
  public let weights: [Float]
  /// 0 where the file has none.
  public let bias: Float

  /// One score per row, summed in float64 in the order of the columns: it depends on nothing but the row.
  ///
  /// - Parameter hidden: `[T, D]`, as `ForwardPass` returns it.
  public func scores(_ hidden: HiddenRows) -> [Double] {
    let matrix = hidden.matrix
    precondition(matrix.columns == weights.count, "\(weights.count) weights for rows of \(matrix.columns)")
    return (0..<matrix.rows).map { row in
      var sum = Double(bias)
      for column in 0..<matrix.columns { sum += Double(weights[column]) * Double(matrix[row, column]) }
      return sum
    }
  }
}

extension TensorReader {
  /// nil for a model without; a head of several classes is refused for its shape.
  func rewardHead(_ width: Int) throws -> RewardHead? {
    guard has(TensorName.classifier) else { return nil }
    let view = try weight(TensorName.classifier, 1, width)
    let row = Buffer<Float>(count: width)
    if let source = view.bytes.baseAddress {
      dequantize(row.pointer, from: source, format: view.format, count: width)
    }
    let bias = try optionalFloats(TensorName.classifierBias, 1)
    return RewardHead(weights: (0..<width).map { row[$0] }, bias: bias?[0] ?? 0)
  }
}
