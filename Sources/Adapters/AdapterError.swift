/// What is wrong with an adapter, or with a wish it cannot fulfil.
public indirect enum AdapterError: Error, Equatable, Sendable, CustomStringConvertible {
  // The file
  case notAnAdapter(path: String, key: String, found: String)
  case unknownTensor(path: String, name: String)
  case lone(path: String, tensor: String, missing: String)
  case rankMismatch(path: String, tensor: String, a: [Int], b: [Int])
  case transposed(path: String, tensor: String)
  case format(path: String, tensor: String, format: String)
  case twice(path: String, tensor: String)
  case unsupported(path: String, what: String)
  case noConfiguration(folder: String, name: String)
  case configuration(path: String, key: String?, wanted: String)
  case configuredRank(path: String, tensor: String, found: Int, wanted: Double)
  case badExpression(path: String, key: String, expression: String)
  case ambiguousPattern(path: String, key: String, tensor: String)
  case ambiguousAlpha(path: String)
  case badAlpha(Float)
  case notFinite(tensor: String, index: Int)
  case tooLarge(tensor: String, value: Float, format: String)
  case empty(path: String)

  // Against its base
  case architecture(adapter: String, model: String)
  case otherBase(made: String, model: String?, AdapterError)
  case notInModel(tensor: String)
  case shape(tensor: String, adapter: [Int], model: [Int])

  // Wishes
  case unknownTarget(String, nearest: String)
  case tied(String)
  case badPattern(String, expects: String)
  case idlePattern(String)
  case heads(tensor: String, rows: Int, headDim: Int)
  case baseNameIsPath(String)

  public var description: String {
    switch self {
    case .notAnAdapter(let path, let key, let found):
      "\(path): '\(key)' is \(found), so this is not a LoRA adapter: name an adapter file."
    case .unknownTensor(let path, let name):
      "\(path): '\(name)' is not a LoRA tensor of a linear layer: export the adapter without it."
    case .lone(let path, let tensor, let missing):
      "\(path): the adapter of '\(tensor)' lacks '\(missing)': export the adapter again."
    case .rankMismatch(let path, let tensor, let a, let b):
      "\(path): the ranks of '\(tensor)' differ, A is \(a) and B is \(b): export the adapter again."
    case .transposed(let path, let tensor):
      "\(path): A of '\(tensor)' is transposed, as an old training tool wrote it: convert the adapter with a current one."
    case .format(let path, let tensor, let format):
      "\(path): '\(tensor)' is stored as \(format), which is no format of weights: export the adapter as F32."
    case .twice(let path, let tensor):
      "\(path): '\(tensor)' is a second factor of the same kind for its layer: export the adapter again."
    case .unsupported(let path, let what):
      "\(path): the adapter has \(what), which is not there: train or convert it as plain LoRA."
    case .noConfiguration(let folder, let name):
      "'\(folder)' has no '\(name)', without which the scale of its adapter is unknown: put the file that belongs to it there."
    case .configuration(let path, let key, let wanted):
      "\(path): \(key.map { "'\($0)' is not" } ?? "it is not") \(wanted): get the file of this adapter again."
    case .configuredRank(let path, let tensor, let found, let wanted):
      "\(path): it gives '\(tensor)' the rank \(wanted), its tensors have \(found): put the file that belongs to them there."
    case .badExpression(let path, let key, let expression):
      "\(path): '\(expression)' in '\(key)' is no expression that can be searched safely: write names of layers instead."
    case .ambiguousPattern(let path, let key, let tensor):
      "\(path): entries of '\(key)' give '\(tensor)' different values: leave the one that was meant."
    case .ambiguousAlpha(let path):
      "\(path): it has both 'scale' and 'alpha', which versions of mlx-lm read differently. Write the scale it was trained with "
        + "(early versions: scale times alpha / rank) and remove 'alpha'."
    case .badAlpha(let alpha):
      "The adapter's alpha is \(alpha), not a number that can scale it: export the adapter again."
    case .notFinite(let tensor, let index):
      "Value \(index) of '\(tensor)' is not finite: training has diverged or the file is damaged."
    case .tooLarge(let tensor, let value, let format):
      "'\(tensor)' has the value \(value), which \(format) cannot hold: export the adapter as F32."
    case .empty(let path): "\(path): there is no adapted layer in it: export the adapter again."

    case .architecture(let adapter, let model):
      "The adapter is for the architecture '\(adapter)', the model is '\(model)': use the model it was trained on."
    case .otherBase(let made, let model, let error):
      "\(error) It says that it was made over '\(made)'\(model.map { ", this model is '\($0)'" } ?? "")."
    case .notInModel(let tensor):
      "The adapter changes '\(tensor)', which the model does not have: use the model it was trained on."
    case .shape(let tensor, let adapter, let model):
      "The adapter fits '\(tensor)' of shape \(adapter), the model's is \(model): use the model it was trained on."

    case .unknownTarget(let name, let nearest): "There is no target '\(name)': did you mean '\(nearest)'?"
    case .tied(let name):
      "'\(name)' cannot be adapted: this model uses one matrix as embedding and head, and no adapter file can tell the two "
        + "apart. Leave it out."
    case .badPattern(let entry, let expects):
      "'\(entry)' is no entry of a pattern: write \(expects), such as attn_q=8 or blk.0.attn_q=8."
    case .idlePattern(let entry): "The pattern's entry '\(entry)' names no layer that is adapted: leave it out."
    case .heads(let tensor, let rows, let headDim):
      "The \(rows) rows of '\(tensor)' are not heads of even width \(headDim): give the head width of its model."
    case .baseNameIsPath(let name):
      "'\(name)' is a path of this machine and means nothing elsewhere: give the model's name on its hub, or none."
    }
  }
}
