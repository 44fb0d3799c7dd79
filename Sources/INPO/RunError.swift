/// What can be wrong with a run as a whole.
public enum RunError: Error, Equatable, CustomStringConvertible {
  case folderExists(String)
  case otherConfig(String, settings: [String])
  case inputChanged(String, folder: String)
  case badRecord(file: String, line: Int, reason: String)
  case tooFewPrompts(needs: Int, has: Int)
  case noPairs(round: Int, oracle: String)

  public var description: String {
    switch self {
    case .folderExists(let path): "'\(path)' holds a run already. Go on with it by --resume, or choose another --out."
    case .otherConfig(let path, let settings):
      "This run differs from '\(path)' in \(settings.joined(separator: ", ")). Resume with the settings it began with, or choose "
        + "another --out."
    case .inputChanged(let path, let folder):
      "'\(path)' is not the file that the run in '\(folder)' began with. Put that file back, or choose another --out."
    case .badRecord(let file, let line, let reason): "Line \(line) of '\(file)' cannot be used: \(reason)"
    case .tooFewPrompts(let needs, let has):
      "The rounds need \(needs) prompts, the file has \(has). Lower rounds or prompts-per-round, or add prompts."
    case .noPairs(let round, let oracle):
      "Oracle '\(oracle)' saw no strict winner among the answers of round \(round). Sample more answers, or at a higher "
        + "temperature."
    }
  }
}
