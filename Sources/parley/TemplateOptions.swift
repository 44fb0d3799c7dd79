/// What a chat template gets beside the turns.

import ArgumentParser
import Foundation
import Tensors
import Tokenization

struct TemplateOptions: ParsableArguments {
  @Option(help: "A JSON file with a list of tools for the chat template; a record's own `tools` replace them.")
  var tools: String?

  @Option(
    help: ArgumentHelp(
      "A variable of the chat template, in JSON or as plain text, such as enable_thinking=false; can be repeated. "
        + "A record's `chat_template_kwargs` come first.",
      valueName: "name=value"))
  var templateVar: [String] = []

  /// - Parameter raw: whether the command leaves the template out.
  func inputs(raw: Bool = false) throws -> TemplateInputs {
    if raw && (tools != nil || !templateVar.isEmpty) {
      throw ValidationError("--tools and --template-var are for the chat template, which --raw leaves out.")
    }
    var inputs = TemplateInputs()
    do {
      if let tools { inputs.tools = try TemplateInputs.tools(String(decoding: AtomicFile.read(tools), as: UTF8.self)) }
      for text in templateVar {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
          throw ValidationError("--template-var \(text): write name=value.")
        }
        try inputs.setVariable(String(text[..<equals]), String(text[text.index(after: equals)...]))
      }
    } catch let error as TemplateInputsError {
      let place = error == .notTools ? "--tools '\(tools ?? "")'" : "--template-var"
      throw Failure(.badData, "\(place): \(error).")
    }
    return inputs
  }
}
