/// The fields of a JSON object in the order in which they were written: templates print tools and arguments as they came.

public struct JSONObject: Sendable {
  /// In order; no name comes twice.
  public private(set) var fields: [(name: String, value: JSONValue)] = []
  private var places: [String: Int] = [:]

  public init() {}

  /// A name that comes twice keeps its first place and its last value, as in Python.
  public init(_ fields: some Sequence<(name: String, value: JSONValue)>) {
    for (name, value) in fields { self[name] = value }
  }

  public subscript(name: String) -> JSONValue? {
    get { places[name].map { fields[$0].value } }
    set {
      switch (places[name], newValue) {
      case (let place?, let value?): fields[place].value = value
      case (nil, let value?):
        places[name] = fields.count
        fields.append((name, value))
      case (_?, nil): self = JSONObject(fields.filter { $0.name != name })
      case (nil, nil): break
      }
    }
  }

  public var isEmpty: Bool { fields.isEmpty }
}

extension JSONObject: Hashable {
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
  }

  public func hash(into hasher: inout Hasher) {
    for (name, value) in fields {
      hasher.combine(name)
      hasher.combine(value)
    }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self.init(elements.map { (name: $0.0, value: $0.1) })
  }
}

extension JSONObject: Codable {
  public init(from decoder: any Decoder) throws {
    guard case .object(let object) = try JSONValue(from: decoder) else {
      throw DecodingError.typeMismatch(
        JSONObject.self, .init(codingPath: decoder.codingPath, debugDescription: "an object is wanted"))
    }
    self = object
  }

  public func encode(to encoder: any Encoder) throws { try JSONValue.object(self).encode(to: encoder) }
}
