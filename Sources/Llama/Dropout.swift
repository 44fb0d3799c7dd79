/// Dropout on the input of adapters (PEFT's `lora_dropout`; Srivastava et al. 2014): in training each input value of `A` is zero
/// with probability `rate` and divided by what is kept else. The frozen weight sees everything.
///
/// What is dropped depends on seed, step, layer, column, and the tokens up to the row: not on the batch, its order, or threads;
/// and a prompt that two answers share is the same under both.

import Tensors

/// The dropout of one optimiser step.
public struct Dropout: Equatable, Sendable {
  public let rate: Double
  public let seed: UInt64
  public let step: Int

  /// - Precondition: `rate` is from 0 to below 1; its nearest multiple of 2⁻¹⁶ counts.
  public init(rate: Double, seed: UInt64, step: Int) {
    precondition(rate >= 0 && rate < 1, "inputs cannot be dropped at a rate of \(rate)")
    self.rate = rate
    self.seed = seed
    self.step = step
  }

  /// What multiplies the inputs of `layer` (a tensor's name) in each row of a sequence: `[T, columns]` of 0 or 1 / (1 − rate).
  public func factors(of tokens: [TokenID], layer: String, columns: Int) -> Matrix {
    let ones = Matrix(tokens.count, columns)
    ones.buffer.fill(1)
    let rows = DropoutRows(self, keys: keys(of: tokens), room: Matrix(tokens.count, columns))
    return rows.drop(ones, layer: layer, rows: 0..<tokens.count)
  }

  /// A key for every row: each token is mixed into the key of the row before.
  func keys(of tokens: some Sequence<TokenID>) -> [UInt64] {
    var key = CounterRandom(seed: seed, UInt64(step)).bits(0)
    return tokens.map { token in
      key = CounterRandom(seed: key, UInt64(token)).bits(0)
      return key
    }
  }
}

/// A dropout for the rows of one pass.
final class DropoutRows {
  /// Room for the inputs of the widest layer that is left when some are dropped; used again by every layer.
  let room: Matrix
  private let dropout: Dropout
  private let keys: [UInt64]
  /// A value is dropped when 16 random bits are below this.
  private let threshold: UInt32
  private let factor: Float

  init(_ dropout: Dropout, keys: [UInt64], room: Matrix) {
    precondition(keys.count <= room.rows, "\(keys.count) rows do not fit \(room.rows)")
    self.dropout = dropout
    self.keys = keys
    self.room = room
    threshold = min(UInt32((dropout.rate * 65536).rounded()), 65535)
    factor = 65536 / Float(65536 - threshold)
  }

  /// The same dropout for some of the rows.
  func rows(_ rows: some Sequence<Int>) -> DropoutRows {
    DropoutRows(dropout, keys: rows.map { keys[$0] }, room: room)
  }

  /// `x` with values dropped, in `room`.
  func drop(_ x: Matrix, layer: String, rows: Range<Int>) -> Matrix {
    forEachRow(layer, rows, columns: x.columns) { row, factors in
      let (x, room) = (x.pointer + row * x.columns, room.pointer + row * room.columns)
      for (i, factor) in factors.enumerated() { room[i] = factor * x[i] }
    }
    return room
  }

  /// The backward of `drop`, with the gradient of what was left in `room`: `dx += room` where a value was kept. Then `drop` again.
  func dropBackward(_ dx: Matrix, at x: Matrix, layer: String, rows: Int) -> Matrix {
    forEachRow(layer, 0..<rows, columns: x.columns) { row, factors in
      let (x, room) = (x.pointer + row * x.columns, room.pointer + row * room.columns)
      let dx = dx.pointer + row * dx.columns
      for (i, factor) in factors.enumerated() {
        dx[i] += factor * room[i]
        room[i] = factor * x[i]
      }
    }
    return room
  }

  /// Calls `body` with each row and the factors of its values.
  private func forEachRow(
    _ layer: String, _ rows: Range<Int>, columns: Int, _ body: (Int, UnsafeBufferPointer<Float>) -> Void
  ) {
    let layer = CounterRandom.key(layer)
    // 64 random bits decide on four columns.
    let draws = (columns + 3) / 4
    let factors = Buffer<SIMD4<Float>>(count: draws)
    let kept = SIMD4<Float>(repeating: factor)
    let threshold = SIMD4<UInt32>(repeating: threshold)
    for row in rows {
      let random = CounterRandom(seed: keys[row], layer)
      for draw in 0..<draws {
        let bits = random.bits(UInt64(draw))
        let parts = SIMD4(bits, bits >> 16, bits >> 32, bits >> 48)
        let sixteen = SIMD4<UInt32>(truncatingIfNeeded: parts) & 0xFFFF
        factors.pointer[draw] = kept.replacing(with: 0, where: sixteen .< threshold)
      }
      factors.pointer.withMemoryRebound(to: Float.self, capacity: 4 * draws) {
        body(row, UnsafeBufferPointer(start: $0, count: columns))
      }
    }
  }
}
