/// What a record gives its chat template beside the turns, under TRL's names: `tools`, a list of schemas or the text of one,
/// and `chat_template_kwargs`, variables such as `enable_thinking`.

import Foundation

public struct TemplateInputs: Hashable, Sendable {
  public var tools: [JSONValue]?
  public var variables: JSONObject

  public init(tools: [JSONValue]? = nil, variables: JSONObject = JSONObject()) {
    self.tools = tools
    self.variables = variables
  }

  /// - Parameter fields: the fields of a record, of which others than those two are passed over.
  public init(_ fields: [String: JSONValue]) throws(TemplateInputsError) {
    self.init()
    switch fields["tools"] {
    case nil, .null: break
    case .array(let list): tools = list
    case .string(let text): tools = try Self.tools(text)
    default: throw .notTools
    }
    switch fields["chat_template_kwargs"] {
    case nil, .null: break
    case .object(let object): try setVariables(object)
    default: throw .notVariables
    }
  }

  /// Tools from the text of a JSON list.
  public static func tools(_ text: String) throws(TemplateInputsError) -> [JSONValue] {
    guard case .array(let list) = JSONParser.parse(text.utf8) else { throw .notTools }
    return list
  }

  /// One variable as it is written on a command line: JSON, or else a text.
  public mutating func setVariable(_ name: String, _ text: String) throws(TemplateInputsError) {
    try setVariables([name: JSONParser.parse(text.utf8) ?? .string(text)])
  }

  private mutating func setVariables(_ object: JSONObject) throws(TemplateInputsError) {
    for (name, value) in object.fields {
      guard !["messages", "tools", "add_generation_prompt"].contains(name) else { throw .reserved(name) }
      variables[name] = value
    }
  }

  /// These inputs, where a record does not say otherwise.
  func overridden(by record: TemplateInputs) -> TemplateInputs {
    TemplateInputs(tools: record.tools ?? tools, variables: JSONObject(variables.fields + record.variables.fields))
  }
}

public enum TemplateInputsError: Error, Equatable, CustomStringConvertible {
  case notTools
  case notVariables
  case reserved(String)

  public var description: String {
    switch self {
    case .notTools: "'tools' must be a list of tools in JSON, or the text of such a list"
    case .notVariables: "'chat_template_kwargs' must be a JSON object with the template's variables"
    case .reserved(let name): "the template variable '\(name)' is set by the program and cannot be given"
    }
  }
}

extension Decoder {
  /// The fields `known` does not list, with those for the template checked.
  func otherFields<Key: CodingKey & CaseIterable>(besides known: Key.Type) throws -> [String: JSONValue] {
    let fields = try unknownFields(besides: known)
    do {
      _ = try TemplateInputs(fields)
    } catch {
      let name = if case .notTools = error { "tools" } else { "chat_template_kwargs" }
      throw DecodingError.dataCorrupted(
        .init(codingPath: codingPath + [AnyKey(name)], debugDescription: error.description))
    }
    return fields
  }
}
