/// Which kernels would multiply weights of each format, in each operation: what `parley inspect --cpu` shows.

import Foundation
import Tensors

struct KernelGrid: Encodable {
  struct Row: Encodable {
    let format: String
    let int16: String
    let int8: String
    let f32: String
    let backward: String
  }

  let rows: [Row]

  func encode(to encoder: Encoder) throws { try rows.encode(to: encoder) }

  init(_ kernels: Kernels) {
    rows = WeightFormat.allCases.map { format in
      // Weights that are floats are multiplied in float, whatever the precision.
      let integers = format.isFloat || kernels.expands(format) ? kernels.name : kernels.name + " by rows"
      return Row(format: format.name, int16: integers, int8: integers, f32: kernels.name, backward: kernels.name)
    }
  }

  var text: String {
    func line(_ cells: [String]) -> String {
      cells.map { $0.padding(toLength: 22, withPad: " ", startingAt: 0) }.joined().trimmedEnd + "\n"
    }
    return line(["weights", "int16", "int8", "f32", "backward"])
      + rows.map { line([$0.format, $0.int16, $0.int8, $0.f32, $0.backward]) }.joined()
      + (rows.contains { $0.int16.hasSuffix("by rows") }
        ? "by rows: blocks are widened one row after the other, then multiplied with vectors.\n" : "")
  }
}

extension String {
  fileprivate var trimmedEnd: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
