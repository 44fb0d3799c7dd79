import Tensors

/// What a head reads: outputs of the last block after the final norm, and the policy of each row, whose adapter may change the
/// head.
public struct HiddenRows {
  /// `[W, D]`
  public let matrix: Matrix
  let policies: [PolicyRows]
  public var rows: Int { matrix.rows }
  public var values: [Float] { matrix.values }

  init(_ matrix: Matrix, policies: [PolicyRows]) {
    self.matrix = matrix
    self.policies = policies
  }

  /// All rows under one policy.
  public init(_ matrix: Matrix, _ policy: Policy) {
    self.init(matrix, policies: [PolicyRows(policy: policy, rows: 0..<matrix.rows)])
  }
}
