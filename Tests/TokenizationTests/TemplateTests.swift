import Foundation
import Testing
import Tokenization

/// The template language against Jinja2, byte for byte, and its limits.
struct TemplateTests {
  struct Content: Decodable {
    struct Render: Decodable {
      let messages: [ChatMessage]
      let generation: Bool
      /// Nil when Jinja2 refuses.
      let text: String?
    }
    struct Template: Decodable {
      let name: String
      let source: String
      let renders: [Render]
    }
    struct Snippet: Decodable {
      let source: String
      let text: String?
    }
    let date: [Int]
    let bos: String
    let eos: String
    let templates: [Template]
    let snippetMessages: [ChatMessage]
    let snippets: [Snippet]

    func render(_ source: String, _ messages: [ChatMessage], _ generation: Bool) throws -> String {
      try ChatTemplate(source: source, bosToken: bos, eosToken: eos)
        .render(messages, addGenerationPrompt: generation, date: TemplateTests.moment(date))
    }
  }

  /// Year to second, in the time zone of this machine.
  static func moment(_ date: [Int]) -> Date {
    let parts = DateComponents(
      year: date[0], month: date[1], day: date[2], hour: date[3], minute: date[4], second: date[5])
    return Calendar(identifier: .gregorian).date(from: parts) ?? .distantPast
  }

  /// Compares text and refusal; a refusal must be a `TemplateError`.
  static func check(
    _ content: Content, _ source: String, _ messages: [ChatMessage], _ generation: Bool, _ wanted: String?
  ) {
    do {
      let got = try content.render(source, messages, generation)
      let isSame = wanted.map { Array($0.utf8) == Array(got.utf8) } ?? false
      #expect(isSame, "\(source)\ngot    \(got.debugDescription)\nwanted \(wanted.debugDescription)")
    } catch {
      #expect(error is TemplateError && wanted == nil, "\(source)\n\(error)\nwanted \(wanted.debugDescription)")
    }
  }

  @Test func templatesRenderAsJinjaDoes() throws {
    let content: Content = try Fixture.read("tokenization-templates.json")
    #expect(content.templates.map(\.name) == ["smollm2", "chatml", "llama3", "llama31", "alternating"])
    for template in content.templates {
      for item in template.renders {
        Self.check(content, template.source, item.messages, item.generation, item.text)
      }
    }
  }

  @Test func constructsWorkAsInJinja() throws {
    let content: Content = try Fixture.read("tokenization-templates.json")
    #expect(content.snippets.count > 90)
    for item in content.snippets { Self.check(content, item.source, content.snippetMessages, false, item.text) }
  }

  @Test func theModelsOwnTemplateIsTheOneInTheFixture() throws {
    let content: Content = try Fixture.read("tokenization-templates.json")
    let template = try #require(try ChatTemplate.inFile(Fixture.smolLM2()))
    #expect(template.bosToken == "<|im_start|>" && template.eosToken == "<|im_end|>")
    for item in content.templates[0].renders {
      #expect(
        try template.render(item.messages, addGenerationPrompt: item.generation, date: Self.moment(content.date))
          == item.text)
    }
  }

  static func error(_ source: String) -> TemplateError? {
    do {
      let template = try ChatTemplate(source: source, bosToken: "<s>", eosToken: "</s>")
      _ = try template.render([ChatMessage(role: "user", content: "hi")], addGenerationPrompt: true, date: .distantPast)
      return nil
    } catch { return error }
  }

  @Test func errorsNameLineAndConstruct() {
    #expect(Self.error("a\nb\n{% frobnicate %}") == .unsupported(line: 3, construct: "the tag {% frobnicate %}"))
    #expect(Self.error("\n{{ 1 | nofilter }}") == .unsupported(line: 2, construct: "the filter 'nofilter'"))
    #expect(Self.error("{{ 1 is odder }}") == .unsupported(line: 1, construct: "the test 'odder'"))
    #expect(Self.error("\n{{ ''.nothing() }}") == .unsupported(line: 2, construct: "the method 'nothing' of a string"))
    #expect(Self.error("\n{{ raise_exception('no') }}") == .raised(line: 2, message: "no"))
    #expect(
      Self.error("{{ 1 }}\n{{ a.b }}")
        == .failed(line: 2, construct: "{{ … }}", problem: "'a' is undefined, so it has no 'b'"))
    #expect(Self.error("\n\n{% if x %}") == .syntax(line: 3, construct: "{% if %}", problem: "it is never closed"))
    for source in [
      "{% frobnicate %}", "{{ a.b }}", "{{ raise_exception('no') }}", "{% if x %}",
      "{% for x in range(9999999) %}{% endfor %}",
    ] {
      #expect(Self.error(source)?.description.contains("line 1") == true)
    }
  }

  /// Each would take unbounded time, memory or stack.
  @Test(arguments: [
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% for i in range(-9223372036854775807, 9223372036854775807) %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxx{% endfor %}{% endfor %}",
    "{{ 'x' * 1000000000 }}", "{{ 9223372036854775807 * 'xx' }}",
    "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l }}",
    "{% set ns = namespace(l=1) %}{% for i in range(99999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
    "{% set s = 'x' * 1000000 %}{{ s | replace('x', s) }}", "{% set s = 'x' * 1000000 %}{{ s.replace('x', s) }}",
    "{% set s = 'x' * 1000000 %}{{ ([s] * 1) | list }}", "{% set s = 'x' * 1000000 %}{{ s.join(range(1000)) }}",
    "{% set s = '\n' * 1000000 %}{{ s | indent(1000) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f() %}{% for i in [1, 2] %}{{ f() }}{% endfor %}{% endmacro %}{{ f() }}",
    String(repeating: "(", count: 100_000), "{{ " + String(repeating: "(", count: 100_000) + "1",
    "{{ " + String(repeating: "[", count: 100_000), "{{ " + String(repeating: "not ", count: 100_000) + "1 }}",
    "{{ " + String(repeating: "-", count: 100_000) + "1 }}", "{{ 1" + String(repeating: " + 1", count: 100_000) + " }}",
    "{{ x" + String(repeating: ".x", count: 100_000) + " }}",
    "{{ x" + String(repeating: "|trim", count: 100_000) + " }}",
    "{{ [" + String(repeating: "1,", count: 100_000) + "] }}", String(repeating: "{% if true %}", count: 50_000),
    String(repeating: "x", count: 2_000_000),
  ])
  func hostileTemplatesAreStopped(source: String) {
    // The first of the strings of parentheses is plain text, and fine.
    if source.utf8.allSatisfy({ $0 == UInt8(ascii: "(") }) {
      #expect(Self.error(source) == nil)
    } else {
      #expect(Self.error(source) != nil)
    }
  }

  @Test func namespacesCannotHoldThemselves() {
    #expect(Self.error("{% set ns = namespace() %}{% set ns.me = ns %}") != nil)
    #expect(Self.error("{% set ns = namespace() %}{% set ns.me = [ns] %}") != nil)
    #expect(Self.error("{% set ns = namespace() %}{% set other = namespace(a=ns) %}") != nil)
  }

  @Test func aTemplateThatCannotBeReadDoesNotStopTheTokenizer() throws {
    var metadata = try Fixture.smolLM2()
    metadata.set("tokenizer.chat_template", .string("{% frobnicate %}"))
    #expect(throws: TemplateError.self) { try ChatTemplate.inFile(metadata) }
    #expect(try Tokenizer(metadata).encode("Hello", parseSpecial: false).count == 1)
  }
}
