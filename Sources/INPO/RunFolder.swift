/// Where the files of a run lie. A phase is done when its file is there; files are written whole or not at all.

public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public var config: String { path + "/config.yaml" }
  public var manifest: String { path + "/manifest.json" }
  public var adapter: String { path + "/adapter.gguf" }

  /// What slow judges said in all rounds and evaluations: none of it is asked again.
  public var judgements: String { path + "/judgements.jsonl" }

  /// Round `number`, from 1.
  public func round(_ number: Int) -> Round { Round(path: "\(path)/round-\(number)") }

  public struct Round: Sendable {
    public let path: String
    public var responses: String { path + "/responses.jsonl" }
    /// Those of `responses` that are there while sampling goes on.
    public var partialResponses: String { path + "/responses.partial.jsonl" }
    public var pairs: String { path + "/pairs.jsonl" }
    /// The held-out pairs, frozen by this round's policies.
    public var evalPairs: String { path + "/eval-pairs.jsonl" }
    public var metrics: String { path + "/metrics.jsonl" }
    public var adapter: String { path + "/adapter.gguf" }
    /// What the round achieved and how long its phases took.
    public var summary: String { path + "/summary.json" }
  }
}
