/// What `RecordScorer` reads: a prompt with one response, with several, or with a chosen and a rejected one; or a text that is
/// scored as a whole. Fields it does not know are carried through.

import Tensors
import Tokenization

/// One line to score. Token ids win over text wherever both are given.
public struct ScoreRecord: Decodable, Sendable {
  /// An answer as it was given: its ids, or else its text.
  public struct Answer: Sendable {
    public let text: String?
    public let tokenIDs: [TokenID]?
  }

  public enum Answers: Sendable {
    case one(Answer)
    case several([Answer])
    case pair(chosen: Answer, rejected: Answer)
    /// No prompt: a text in which every token but the first is predicted.
    case whole(Answer)

    var list: [Answer] {
      switch self {
      case .one(let answer): [answer]
      case .several(let answers): answers
      case .pair(let chosen, let rejected): [chosen, rejected]
      case .whole(let text): [text]
      }
    }
  }

  public let prompt: PromptRecord.Content?
  public let promptIDs: [TokenID]?
  public let answers: Answers
  /// The whole record as it was read.
  public let fields: [String: JSONValue]

  enum CodingKeys: String, CodingKey {
    case prompt, response, responses, chosen, rejected, text
    case tokenIDs = "token_ids"
    case promptIDs = "prompt_ids"
    case responseIDs = "response_ids"
    case chosenIDs = "chosen_ids"
    case rejectedIDs = "rejected_ids"
  }

  private struct Listed: Decodable {
    let text: String?
    let tokenIDs: [TokenID]?

    enum CodingKeys: String, CodingKey {
      case text
      case tokenIDs = "token_ids"
    }
  }

  /// A text to score as a whole.
  public init(text: String) {
    (prompt, promptIDs) = (nil, nil)
    answers = .whole(Answer(text: text, tokenIDs: nil))
    fields = [CodingKeys.text.rawValue: .string(text)]
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func answer(_ text: CodingKeys, _ ids: CodingKeys) throws -> Answer? {
      let content = try container.decodeIfPresent(PromptRecord.Content.self, forKey: text)
      let tokenIDs = try container.decodeIfPresent([TokenID].self, forKey: ids)
      return content == nil && tokenIDs == nil ? nil : Answer(text: content?.lastText, tokenIDs: tokenIDs)
    }

    fields = try [String: JSONValue](from: decoder)
    prompt = try container.decodeIfPresent(PromptRecord.Content.self, forKey: .prompt)
    promptIDs = try container.decodeIfPresent([TokenID].self, forKey: .promptIDs)
    if prompt == nil && promptIDs == nil {
      if let text = try answer(.text, .tokenIDs) {
        answers = .whole(text)
        return
      }
      throw DecodingError.keyNotFound(
        CodingKeys.prompt, .init(codingPath: [], debugDescription: "no prompt, prompt_ids or text"))
    }
    if let listed = try container.decodeIfPresent([Listed].self, forKey: .responses) {
      answers = .several(listed.map { Answer(text: $0.text, tokenIDs: $0.tokenIDs) })
    } else if let chosen = try answer(.chosen, .chosenIDs), let rejected = try answer(.rejected, .rejectedIDs) {
      answers = .pair(chosen: chosen, rejected: rejected)
    } else if let response = try answer(.response, .responseIDs) {
      answers = .one(response)
    } else {
      throw DecodingError.keyNotFound(
        CodingKeys.response,
        .init(codingPath: [], debugDescription: "no response, responses, or chosen with rejected"))
    }
  }
}
