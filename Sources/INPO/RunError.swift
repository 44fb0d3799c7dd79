/// What can be wrong with a run as a whole.
public enum RunError: Error, Equatable, CustomStringConvertible {
  case folderExists(String)
  case otherConfig(String)
  case tooFewPrompts(needs: Int, has: Int)
  case noPairs(round: Int, oracle: String)

  public var description: String {
    switch self {
    case .folderExists(let path): "'\(path)' holds a run already. Go on with it by --resume, or choose another --out."
    case .otherConfig(let path):
      "'\(path)' has other settings than this run. Resume with the same run file, or choose another --out."
    case .tooFewPrompts(let needs, let has):
      "The rounds need \(needs) prompts, the file has \(has). Lower rounds or prompts-per-round, or add prompts."
    case .noPairs(let round, let oracle):
      "Oracle '\(oracle)' saw no strict winner among the answers of round \(round). Sample more answers, or at a higher "
        + "temperature."
    }
  }
}
