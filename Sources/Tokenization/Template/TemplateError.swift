/// Why a chat template could not be read or run, with the line of the template and the construct on it.

public enum TemplateError: Error, Equatable, CustomStringConvertible {
  /// The template is not well formed.
  case syntax(line: Int, construct: String, problem: String)
  /// A tag, filter, test, function or method outside the subset.
  case unsupported(line: Int, construct: String)
  /// An operation on values that do not allow it.
  case failed(line: Int, construct: String, problem: String)
  /// The template itself refused the conversation (`raise_exception`).
  case raised(line: Int, message: String)
  /// The template asked for more work than any chat template needs.
  case limit(line: Int, construct: String, limit: String)

  public var description: String {
    switch self {
    case .syntax(let line, let construct, let problem):
      "Chat template, line \(line), \(construct): \(problem). Use --raw, or a file with a correct template."
    case .unsupported(let line, let construct):
      "Chat template, line \(line): \(construct) is not supported. Use --raw, or a file with another template."
    case .failed(let line, let construct, let problem):
      "Chat template, line \(line), \(construct): \(problem). Check the roles and texts of the conversation."
    case .raised(let line, let message):
      "The chat template refuses this conversation (line \(line)): \(message)"
    case .limit(let line, let construct, let limit):
      "Chat template, line \(line), \(construct): stopped at the limit of \(limit). Use --raw, or another template."
    }
  }
}
