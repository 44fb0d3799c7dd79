import Foundation
import Testing
import Tokenization

/// The templates that models come with, unmodified, against Jinja2, byte for byte. They are not in the repository:
/// PARLEY_TEMPLATES names the file that tools/official_templates.py has made (`make test-templates`).
struct OfficialTemplateTests {
  struct Content: Decodable {
    struct Template: Decodable {
      let name: String
      let source: String
      /// Each conversation without and with the header of the answer; nil when Jinja2 refuses.
      let texts: [String?]
    }
    let date: [Int]
    let bos: String
    let eos: String
    /// JSON in the order of fields that the templates print.
    let conversations: [String]
    let templates: [Template]
  }

  struct Conversation: Decodable {
    let messages: [ChatMessage]
    let tools: [JSONValue]?
    let variables: JSONObject?
  }

  /// Where we refuse or write something else, and why. None belongs to a model of an architecture we run.
  private static let exceptions = [
    "llama.cpp-meetkai-functionary-medium-v3.1": "text marked `safe` escapes what is added to it, for HTML",
    "llama.cpp-ByteDance-Seed-OSS": "a mapping with numbers for keys", "xinference-seed-oss": "the same",
  ]

  @Test(.enabled(if: ProcessInfo.processInfo.environment["PARLEY_TEMPLATES"] != nil))
  func theyRenderAsJinjaDoes() throws {
    let path = try #require(ProcessInfo.processInfo.environment["PARLEY_TEMPLATES"])
    let content = try JSONDecoder().decode(Content.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(content.templates.count > 200)
    try Self.check(content)
  }

  /// The same with templates of our own that have the constructs of the official ones.
  @Test func toolsAndCallsRenderAsJinjaDoes() throws {
    let content: Content = try Fixture.read("templates-tools.json")
    #expect(content.templates.count == 7)
    try Self.check(content)
  }

  private static func check(_ content: Content) throws {
    let conversations = try content.conversations.map { try JSONLines.decode(Conversation.self, from: Data($0.utf8)) }
    #expect(conversations.count > 10)
    for template in content.templates where exceptions[template.name] == nil {
      let parsed = Result { try ChatTemplate(source: template.source, bosToken: content.bos, eosToken: content.eos) }
      for (place, wanted) in template.texts.enumerated() {
        let conversation = conversations[place / 2]
        let got = parsed.flatMap { parsed in
          Result {
            try parsed.render(
              conversation.messages,
              TemplateInputs(tools: conversation.tools, variables: conversation.variables ?? JSONObject()),
              addGenerationPrompt: place % 2 == 1, date: TemplateTests.moment(content.date))
          }
        }
        let what = "\(template.name), conversation \(place / 2)"
        switch got {
        case .success(let text):
          #expect(wanted != nil, "\(what): Jinja2 refuses")
          if let wanted { compare(Array(text.utf8), Array(wanted.utf8), what) }
        case .failure(let error):
          #expect(wanted == nil && error is TemplateError, "\(what): \(error)")
        }
      }
    }
  }

  private static func compare(_ got: [UInt8], _ wanted: [UInt8], _ what: String) {
    let same = zip(got, wanted).prefix { $0 == $1 }.count
    func part(_ bytes: [UInt8]) -> String { String(decoding: bytes[max(0, same - 40)...].prefix(90), as: UTF8.self) }
    #expect(got == wanted, "\(what), byte \(same): \(part(got).debugDescription), not \(part(wanted).debugDescription)")
  }
}
