/// A record that could not be used. `index` counts the records given, from 0.
public struct RecordFault: Error, CustomStringConvertible {
  public let index: Int
  public let reason: any Error

  public init(index: Int, reason: any Error) {
    self.index = index
    self.reason = reason
  }

  public var description: String { "Record \(index + 1) cannot be used: \(reason)" }
}
