/// The rule that cuts text into pieces before merging; no merge crosses a cut. Scanners written by hand over the
/// kinds of Unicode scalars, each piece equal to what the published regular expressions match.

public enum PreTokenizer: String, CaseIterable, Sendable {
  /// GPT-2's pattern.
  case gpt2 = "gpt-2"
  /// Every digit alone, then GPT-2's pattern on what lies between.
  case smollm
  /// Llama 3: contractions in any case, digits by threes, line breaks kept with what they end.
  case llama3 = "llama-bpe"
  /// As Llama 3, with single digits.
  case qwen2
  /// As Qwen 2, with combining marks in words.
  case qwen35
  /// Mistral: words end where small letters do, single digits.
  case tekken
  /// GPT-4o and Llama 4: as tekken, with contractions and digits by threes.
  case gpt4o = "gpt-4o"
  case deepSeekLLM = "deepseek-llm"
  case deepSeekCoder = "deepseek-coder"
  /// DeepSeek V3 and R1.
  case deepSeekV3 = "deepseek-v3"

  private static let aliases: [String: PreTokenizer] = [
    "phi-2": .gpt2, "mpt": .gpt2, "olmo": .gpt2,
    "starcoder": .smollm, "refact": .smollm, "codeshell": .smollm, "exaone": .smollm,
    "minerva-7b": .smollm,
    "llama3": .llama3, "llama-v3": .llama3, "falcon3": .llama3, "falcon-h1": .llama3, "pixtral": .llama3,
    "lfm2": .llama3,
    "deepseek-r1-qwen": .qwen2, "stablelm2": .qwen2, "hunyuan": .qwen2,
    "llama4": .gpt4o,
  ]

  /// The names accepted in `tokenizer.ggml.pre`.
  public static var names: [String] { (allCases.map(\.rawValue) + aliases.keys).sorted() }
  static var nameList: String { names.joined(separator: ", ") }

  /// - Parameter name: as in `tokenizer.ggml.pre`.
  public init?(name: String) {
    guard let found = PreTokenizer(rawValue: name) ?? Self.aliases[name] else { return nil }
    self = found
  }

  /// A piece found whole in the vocabulary is that token, whatever the merges say.
  var ignoresMerges: Bool { self == .llama3 || self == .tekken }
  /// Whether BOS is put in front when the file does not say.
  var addsBOSByDefault: Bool { self == .llama3 || self == .tekken }

  /// The pieces of `text`, in order and without gaps.
  public func split(_ text: String) -> [String] {
    let bytes = Array(text.utf8)
    var pieces: [String] = []
    forEachPiece(of: bytes[...]) { pieces.append(String(decoding: bytes[$0], as: UTF8.self)) }
    return pieces
  }

  /// Calls `body` with the range of each piece of `text`, which is valid UTF-8.
  func forEachPiece(of text: ArraySlice<UInt8>, _ body: (Range<Int>) -> Void) {
    switch self {
    case .gpt2: GPT2Scanner(text).forEachPiece(body)
    case .smollm: Self.digitsApart(text, body)
    case .llama3: Llama3Scanner(text, digits: 3).forEachPiece(body)
    case .qwen2: Llama3Scanner(text, digits: 1).forEachPiece(body)
    case .qwen35: Llama3Scanner(text, digits: 1, marks: true).forEachPiece(body)
    case .tekken: CasedScanner(text, digits: 1, contractions: false).forEachPiece(body)
    case .gpt4o: CasedScanner(text, digits: 3, contractions: true).forEachPiece(body)
    case .deepSeekLLM: SplitStage.forEachPiece(of: text, SplitStage.deepSeekLLM[...], body)
    case .deepSeekCoder: SplitStage.forEachPiece(of: text, SplitStage.deepSeekCoder[...], body)
    case .deepSeekV3: SplitStage.forEachPiece(of: text, SplitStage.deepSeekV3[...], body)
    }
  }

  /// A digit ends what stands before it as the end of the text would, so each part is scanned on its own.
  private static func digitsApart(_ text: ArraySlice<UInt8>, _ body: (Range<Int>) -> Void) {
    var start = text.startIndex
    var position = start
    while position < text.endIndex {
      let (scalar, next) = decodeScalar(text, at: position)
      if ScalarKind(scalar) == .number {
        GPT2Scanner(text[start..<position]).forEachPiece(body)
        body(position..<next)
        start = next
      }
      position = next
    }
    GPT2Scanner(text[start...]).forEachPiece(body)
  }
}
