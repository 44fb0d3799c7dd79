import Foundation
import GGUF
import Llama
import Oracles
import Scoring
import Synchronization
import Tensors
import TestSupport
import Testing
import Tokenization

/// Judges that are models, against the scorer and plain sums on texts written out here.
struct ModelOracleTests {
  private let folder: String
  private let path: String
  private let kernels: Kernels

  private static let headers = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
  private static let template =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

  init() throws {
    folder = try temporaryFolder()
    path = folder + "/judge.gguf"
    kernels = try #require(Kernels(threads: 1))
    var tiny = Self.tiny
    tiny.tokens += Self.headers
    try tiny.write(to: path)
  }

  private static var tiny: TinyModel {
    var tiny = TinyModel()
    tiny.deviation = 0.3
    tiny.contextLength = 1024
    tiny.chatTemplate = template
    return tiny
  }

  private func open(_ spec: String, oneOrder: Bool = false) throws -> any PreferenceOracle {
    try Oracle.parse(spec, kinds: OracleKind.models(OracleRuntime(kernels: kernels)), oneOrder: oneOrder)
  }

  private func model() throws -> (model: LlamaModel, tokenizer: Tokenizer) {
    let file = try GGUFFile.open(path)
    return (try LlamaModel(file, precision: .int16, kernels: kernels), try Tokenizer(file.metadata))
  }

  /// P("A") among "A" and "B" behind a text.
  private func letter(_ text: String) throws -> Double {
    let (model, tokenizer) = try model()
    let ids = tokenizer.encode(text, parseSpecial: true)
    let letters = ["A", "B"].map { tokenizer.encode($0, parseSpecial: false) }
    let logps = try Scorer(Policy(model)).logProbs([ScoreRequest(prompt: ids, responses: letters)])[0]
    let (a, b) = (exp(Double(logps[0][0])), exp(Double(logps[1][0])))
    return a / (a + b)
  }

  @Test func thePairModelReadsItsOwnTemplate() async throws {
    let prompt = PromptRecord(
      prompt: .messages([
        ChatMessage(role: "user", content: "Hi"), ChatMessage(role: "assistant", content: "Yo"),
        ChatMessage(role: "user", content: "Q"),
      ]))
    // As jinja2 3.1 renders the plain template of the model card, within Llama 3's turn.
    func text(_ a: String, _ b: String) -> String {
      "<|start_header_id|>user<|end_header_id|>\n\n[CONTEXT] \n\n<turn> user\n Hi\n<turn> assistant\n Yo\n<turn> user\n Q\n"
        + " [RESPONSE A] \(a) [RESPONSE B] \(b)<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    }
    let (first, second) = ("first", "the second")
    let (straight, turned) = (try letter(text(first, second)), try letter(text(second, first)))
    let question = Question(prompt, a: Candidate(text: first), b: Candidate(text: second))
    // Log-probs are floats below 16 in size, of which e^x makes 2⁻²⁰ at the most; twice, and a few more roundings.
    #expect(abs(try await open("pair:\(path)", oneOrder: true).probabilities([question])[0] - straight) < 0x1p-18)
    let both = try await open("pair:\(path)").probabilities([question, question.swapped])
    #expect(abs(both[0] - (straight + 1 - turned) / 2) < 0x1p-18)
    #expect(abs(both[0] + both[1] - 1) < 1e-15)
    #expect(abs(straight - (1 - turned)) > 1e-3, "the order matters to a random model")
  }

  @Test func aJudgeReadsTheUsersTemplate() async throws {
    let template = folder + "/template.txt"
    try "{x} {prompt} or {a} or {b}? {b".write(toFile: template, atomically: true, encoding: .utf8)
    let question = Question(
      PromptRecord(prompt: .text("why {a}")), a: Candidate(text: "{b}"), b: Candidate(text: "no"))
    let want = try letter("<|im_start|>user\n{x} why {a} or {b} or no? {b<|im_end|>\n<|im_start|>assistant\n")
    let got = try await open("judge:\(path)?\(template)", oneOrder: true).probabilities([question])[0]
    #expect(abs(got - want) < 0x1p-18)
    _ = try open("judge:\(path)")
    try "no places but {a}".write(toFile: template, atomically: true, encoding: .utf8)
    #expect {
      try open("judge:\(path)?\(template)")
    } throws: { "\($0)".contains("its template lacks {prompt} and {b}") }
  }

  @Test func aModelThatWantsToSaySomethingElseIsTold() async throws {
    let said = Notes()
    let runtime = OracleRuntime(kernels: kernels) { note in said.list.withLock { $0.append(note) } }
    let oracle = try Oracle.parse("judge:\(path)", kinds: OracleKind.models(runtime))
    let question = Question(PromptRecord(prompt: .text("p")), a: Candidate(text: "x"), b: Candidate(text: "y"))
    _ = try await oracle.probabilities([question])
    _ = try await oracle.probabilities([Question(question.prompt, a: question.a, b: Candidate(text: "z"))])
    #expect(said.list.withLock { $0.count == 1 && $0[0].contains("of the probability together") })
  }

  @Test func aPairModelIsALlama3() throws {
    try Self.tiny.write(to: path)
    #expect { try open("pair:\(path)") } throws: { "\($0)".contains("has no '<|start_header_id|>'") }
  }

  @Test(arguments: [true, false])
  func aRewardIsReadAtTheTurnEnd(hasBias: Bool) async throws {
    let weights = Seeded(3, "head").normals(64, deviation: 0.5)
    var writer = Self.tiny.writer()
    writer.add(name: "cls.output.weight", dimensions: [64, 1], floats: weights)
    if hasBias { writer.add(name: "cls.output.bias", dimensions: [1], floats: [0.75]) }
    try writer.write(to: path)

    let (model, tokenizer) = try model()
    func reward(_ text: String) throws -> Double {
      let ids = tokenizer.encode(text, parseSpecial: true)
      let hidden = try ForwardPass(model)([Run(KVSequence(Policy(model)), ids, wanted: true)])
      var sum = 0.0
      for (weight, value) in zip(weights, hidden.values.suffix(64)) { sum += Double(weight) * Double(value) }
      return sum
    }
    let start = "<|im_start|>user\np<|im_end|>\n<|im_start|>assistant\n"
    let (a, b) = (try reward(start + "yes<|im_end|>"), try reward(start + "certainly not<|im_end|>"))
    let question = Question(
      PromptRecord(prompt: .text("p")), a: Candidate(text: "yes"), b: Candidate(text: "certainly not"))
    let got = try await open("reward:\(path)").probabilities([question, question.swapped])
    // 64 products each way, of numbers around 1.
    #expect(abs(got[0] - 1 / (1 + exp(b - a))) < 64 * 0x1p-50)
    #expect(got[1] == 1 - got[0])
    #expect(abs(a - b) > 0.01, "the two differ")
    #expect(model.rewardHead?.bias == (hasBias ? 0.75 : 0))
  }

  @Test func aRewardModelNeedsItsHead() throws {
    #expect { try open("reward:\(path)") } throws: { "\($0)".contains("has no 'cls.output.weight'") }
  }
}

private final class Notes: Sendable {
  let list = Mutex<[String]>([])
}
