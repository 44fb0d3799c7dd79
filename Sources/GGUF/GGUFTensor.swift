import Tensors

/// Where a tensor lies and what it is.
public struct GGUFTensor: Equatable, Sendable {
  public let name: String
  /// Sizes in the order of the file: the first one varies fastest.
  public let dimensions: [Int]
  /// The ggml type id.
  public let typeID: UInt32
  /// Bytes from the start of the data part.
  public let offset: Int
  public let byteCount: Int

  /// The format, if it is one we compute with.
  public var format: WeightFormat? { WeightFormat(typeID: typeID) }
  /// `Q4_K` for example.
  public var formatName: String { GGMLType(typeID)?.name ?? "type \(typeID)" }
  public var elementCount: Int { dimensions.reduce(1, *) }
}

/// A tensor type that current ggml knows, whether or not we compute with it.
struct GGMLType {
  let name: String
  let valuesPerBlock: Int
  let bytesPerBlock: Int

  init?(_ id: UInt32) {
    if let format = WeightFormat(typeID: id) {
      (name, valuesPerBlock, bytesPerBlock) = (format.name, format.valuesPerBlock, format.bytesPerBlock)
    } else if let other = Self.others[id] {
      (name, valuesPerBlock, bytesPerBlock) = other
    } else {
      return nil
    }
  }

  /// Why an id that ggml does not have may still be in a file.
  static func origin(of id: UInt32) -> String {
    if let name = removed[id] {
      return "\(name), which ggml has removed; quantise the model again with a current tool"
    }
    if forkIDs.contains(where: { $0.contains(id) }) {
      return "a type of ik_llama.cpp only; use a file made with mainline llama.cpp"
    }
    return "unknown; the file is damaged or newer than this program"
  }

  /// What else ggml has: values and bytes per block. Q8_1 and Q8_K are for what it computes between, not for weights.
  private static let others: [UInt32: (String, Int, Int)] = [
    9: ("Q8_1", 32, 36), 15: ("Q8_K", 256, 292), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8),
  ]

  private static let removed: [UInt32: String] = [
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8",
    36: "IQ4_NL_4_4 (or I2_S of ik_llama.cpp)", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
  ]

  private static let forkIDs: [ClosedRange<UInt32>] = [97...99, 133...158, 202...233, 335...353, 397...399]
}
