import Tensors

/// What can be wrong with a model, a token or a length. One sentence each: what, where, what to do.
public enum LlamaError: Error, Equatable, CustomStringConvertible {
  case architecture(String)
  case experts(Int)
  case unsupported(key: String)
  case ropeScaling(String)
  case strayTensor(String)
  case inconsistent(String)
  case shape(tensor: String, found: [Int], expected: [Int])
  case token(UInt32, vocabulary: Int)
  case contextExceeded(needed: Int, limit: Int)
  case emptySequence
  case headNotInBlocks(KVFormat, headDim: Int)

  public var description: String {
    switch self {
    case .architecture(let name):
      "The model's architecture is '\(name)'; Parley runs \(Architecture.all.map(\.name).joined(separator: ", ")). "
        + "Choose a model of one of these."
    case .experts(let count):
      "The model is a mixture of \(count) experts, which is not implemented. Choose a dense model."
    case .unsupported(let key):
      "The model sets '\(key)', which changes its results and is not implemented; it is refused rather than run wrong."
    case .ropeScaling(let type):
      "The model stretches its positions by '\(type)'; Parley has none, linear, yarn and longrope. Choose another model."
    case .strayTensor(let name):
      "The model has a tensor '\(name)' that Parley has no use for, so its results would differ; it is refused rather than run wrong."
    case .inconsistent(let what):
      "The model's metadata contradicts itself: \(what). The file was probably converted wrongly."
    case .shape(let tensor, let found, let expected):
      "Tensor '\(tensor)' is \(found), but the metadata asks for \(expected). The file was probably converted wrongly."
    case .token(let id, let vocabulary):
      "Token id \(id) is outside the vocabulary of \(vocabulary). The ids come from another tokenizer: use this model's."
    case .contextExceeded(let needed, let limit):
      "A sequence needs \(needed) positions, the context has \(limit). Shorten it or raise --ctx up to the model's own limit."
    case .emptySequence:
      "A sequence without a token has no log-probability. Give at least one prompt token."
    case .headNotInBlocks(let format, let headDim):
      "Heads \(headDim) wide are not whole blocks of 32, as keys and values in \(format.rawValue) must be. Keep them in "
        + "f16 or f32."
    }
  }
}
