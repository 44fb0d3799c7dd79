/// `summary.json` of a round: what cannot be read from its other files. Written after every phase, so that the time of a
/// stopped run counts.

import Foundation
import Tensors

struct RoundSummary: Codable {
  var seconds = Report.Seconds()
  var evaluation: INPORun.Evaluation?

  static func read(_ path: String) throws -> RoundSummary {
    FileSystem.exists(path)
      ? try JSONDecoder().decode(RoundSummary.self, from: Data(AtomicFile.read(path))) : RoundSummary()
  }

  func write(_ path: String) throws { try PrettyJSON.write(self, to: path) }
}
