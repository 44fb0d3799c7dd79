import Foundation
import Tensors
import Testing
import Tokenization

/// BOS, EOS, turn ends and the boundary between prompt and answer.
struct PromptTests {
  static let llama3 = """
    {% for m in messages %}{{ (bos_token if loop.first else '') + '<|start|>' + m.role + '\\n' + m.content | trim + \
    '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}
    """
  static let bos: TokenID = 256
  static let eot: TokenID = 257
  static let eos: TokenID = 259

  /// Bytes, then <|bos|> 256, <|eot_id|> 257, <|start|> 258, <|eos|> 259.
  static func tokenizer(addsBOS: Bool?, eos: Int? = 259) throws -> Tokenizer {
    var vocabulary = Fixture.vocabulary(control: ["<|bos|>", "<|eot_id|>", "<|start|>", "<|eos|>"], pre: "llama-bpe")
    vocabulary.bos = 256
    vocabulary.eos = eos
    vocabulary.addsBOS = addsBOS
    return try Tokenizer(vocabulary)
  }

  static func encoder(_ source: String? = llama3, addsBOS: Bool? = nil, raw: Bool = false, eos: Int? = 259) throws
    -> PromptEncoder
  {
    let template = try source.map { try ChatTemplate(source: $0, bosToken: "<|bos|>", eosToken: "<|eos|>") }
    return PromptEncoder(
      tokenizer: try tokenizer(addsBOS: addsBOS, eos: eos), template: template, raw: raw, date: .distantPast)
  }

  static func bytes(_ text: String) -> [TokenID] { text.utf8.map(TokenID.init) }
  static let chat = [ChatMessage(role: "user", content: "Hi")]

  @Test func exactlyOneBOS() throws {
    let bosless = Self.llama3.replacingOccurrences(of: "bos_token if", with: "'' if")
    for (source, flag, wanted) in [
      (Self.llama3, nil, 1), (Self.llama3, true, 1), (Self.llama3, false, 1), (bosless, nil, 1), (bosless, true, 1),
      (bosless, false, 0),
    ] as [(String, Bool?, Int)] {
      let encoder = try Self.encoder(source, addsBOS: flag)
      let ids = try encoder.prompt(.messages(Self.chat))
      #expect(ids.filter { $0 == Self.bos }.count == wanted && (wanted == 0 || ids.first == Self.bos))
      let response = try encoder.response("x", after: .messages(Self.chat))
      #expect(!response.ids.contains(Self.bos) && response.followsPrompt)
    }
    for raw in [true, false] {
      let encoder = try Self.encoder(raw ? Self.llama3 : nil, raw: raw)
      #expect(try encoder.prompt(.text("Hi")) == [Self.bos] + Self.bytes("Hi"))
      #expect(try encoder.prompt(.text("<|bos|>Hi")) == [Self.bos] + Self.bytes("Hi"))
      #expect(try encoder.response("x", after: .text("Hi")).ids == Self.bytes("x") + [Self.eos])
    }
    #expect(try Self.encoder(nil, addsBOS: false).prompt(.text("Hi")) == Self.bytes("Hi"))
    #expect(try Self.encoder(nil).prompt(.text("")) == [Self.bos])
  }

  @Test func toolsAndVariablesReachTheTemplate() throws {
    let source = "{{ (tools or []) | map(attribute='n') | join }}{{ kind | default('?') }}{{ messages[-1].name }}"
    let turn = try JSONLines.decode(ChatMessage.self, from: Data(#"{"role":"user","content":"","name":"N"}"#.utf8))
    var usual = TemplateInputs(tools: [.object(["n": .string("a")])])
    try usual.setVariable("kind", "true")
    let encoder = PromptEncoder(
      tokenizer: try Self.tokenizer(addsBOS: false),
      template: try ChatTemplate(source: source, bosToken: "", eosToken: ""), raw: false, inputs: usual)
    func text(_ fields: [String: JSONValue]) throws -> String {
      let ids = try encoder.prompt(.messages([turn]), TemplateInputs(fields))
      return encoder.tokenizer.decode(ids, skipSpecial: false)
    }
    #expect(try text([:]) == "aTrueN")
    #expect(try text(["tools": .string(#"[{"n":"b"},{"n":"c"}]"#)]) == "bcTrueN")
    #expect(try text(["tools": .array([]), "chat_template_kwargs": .object(["kind": .string("k")])]) == "kN")
    #expect(throws: TemplateInputsError.reserved("messages")) { try usual.setVariable("messages", "[]") }
  }

  @Test func textBecomesOneUserTurn() throws {
    let encoder = try Self.encoder()
    let wanted: [TokenID] =
      [Self.bos, 258] + Self.bytes("user\nHi") + [Self.eot, 258] + Self.bytes("assistant\n")
    #expect(try encoder.prompt(.text("Hi")) == wanted)
    #expect(try encoder.prompt(.messages(Self.chat)) == wanted)
  }

  @Test func anAnswerEndsWithTheTurnEnd() throws {
    let encoder = try Self.encoder()
    let answer = try encoder.response(" yes \n", after: .messages(Self.chat))
    #expect(answer == .init(ids: Self.bytes("yes") + [Self.eot], followsPrompt: true))
    #expect(try encoder.response("", after: .text("Hi")).ids == [Self.eot])
  }

  @Test func aTemplateWithoutTurnEndGetsEOS() throws {
    let source =
      "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    let answer = try Self.encoder(source).response("yes", after: .messages(Self.chat))
    #expect(answer.ids == Self.bytes("yes\n") + [Self.eos] && answer.followsPrompt)
    #expect(throws: PromptError.noEnd) {
      try Self.encoder(source, eos: nil).response("yes", after: .messages(Self.chat))
    }
  }

  @Test func plainAnswersEndOnce() throws {
    let encoder = try Self.encoder(nil)
    #expect(try encoder.response("x<|eos|>", after: .text("p")).ids == Self.bytes("x") + [Self.eos])
    #expect(throws: PromptError.noEnd) { try Self.encoder(nil, eos: nil).response("x", after: .text("p")) }
    #expect(throws: PromptError.noTemplate) { try encoder.prompt(.messages(Self.chat)) }
    #expect(throws: PromptError.noTemplate) { try encoder.response("x", after: .messages(Self.chat)) }
  }

  @Test func anOpenAssistantTurnIsContinued() throws {
    let encoder = try Self.encoder()
    // "end" also stands inside no tag of the template; the cut must be after the content, not at a lookalike.
    for content in ["The end", "eot_id", "", "assistant"] {
      let open = Self.chat + [ChatMessage(role: "assistant", content: content)]
      let prompt = try encoder.prompt(.messages(open))
      #expect(prompt == (try encoder.prompt(.messages(Self.chat))) + Self.bytes(content))
      let answer = try encoder.response(" of it", after: .messages(open))
      #expect(answer.followsPrompt || content.isEmpty)
      #expect(answer.ids.last == Self.eot)
      if !content.isEmpty { #expect(answer.ids == Self.bytes(" of it") + [Self.eot]) }
    }
    let hidden = "{{ messages[0].content }}"
    #expect(throws: PromptError.noOpenTurn) {
      try Self.encoder(hidden).prompt(.messages(Self.chat + [ChatMessage(role: "assistant", content: "x")]))
    }
  }

  @Test func smolLM2EndsWhereItsTurnEnds() throws {
    let metadata = try Fixture.smolLM2()
    let tokenizer = try Tokenizer(metadata)
    let encoder = PromptEncoder(
      tokenizer: tokenizer, template: try ChatTemplate.inFile(metadata), raw: false, date: .distantPast)
    let prompt = try encoder.prompt(.text("Hello"))
    #expect(
      tokenizer.decode(prompt, skipSpecial: false)
        == "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        + "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    #expect(prompt.first == tokenizer.bos && prompt.dropFirst().first != tokenizer.bos)
    let answer = try encoder.response("Good day.", after: .text("Hello"))
    #expect(answer.followsPrompt)
    #expect(answer.ids == tokenizer.encode("Good day.", parseSpecial: false) + [2])
  }

  @Test func anAnswerThatMergesWithThePromptIsReported() throws {
    let metadata = try Fixture.smolLM2()
    let tokenizer = try Tokenizer(metadata)
    let encoder = PromptEncoder(
      tokenizer: tokenizer, template: try ChatTemplate.inFile(metadata), raw: false, date: .distantPast)
    // The header ends with a line break; another one at the start of the answer makes one token of both.
    let answer = try encoder.response("\n\nyes", after: .text("Hello"))
    #expect(answer == .init(ids: tokenizer.encode("\n\nyes", parseSpecial: false) + [2], followsPrompt: false))
  }
}
