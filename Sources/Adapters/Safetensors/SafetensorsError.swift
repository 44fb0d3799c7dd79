import Tensors

/// What is wrong with a safetensors file, or with the index of several.
public enum SafetensorsError: Error, Equatable, Sendable, CustomStringConvertible {
  case file(FileError)
  case pickled(path: String)
  case headerLength(path: String, length: UInt64, limit: Int)
  case header(path: String)
  case shape(path: String, tensor: String, shape: [Int])
  case type(path: String, tensor: String, type: String)
  case length(path: String, tensor: String, needs: Int, has: Int)
  case offsets(path: String, tensor: String, start: Int, expected: Int)
  case trailing(path: String, ends: Int, has: Int)
  case missing(path: String, tensor: String)
  case notMatrix(path: String, tensor: String, shape: [Int])

  // Several files
  case index(path: String)
  case shardName(path: String, name: String)
  case unlisted(path: String, tensor: String)
  case both(file: String, index: String)

  public var description: String {
    switch self {
    case .file(let error): "\(error)"
    case .pickled(let path):
      "\(path): this is a pickle, which can run any program when it is loaded, so it is not read: save the adapter as safetensors."
    case .headerLength(let path, let length, let limit):
      "\(path): its header claims \(length) bytes, at most \(limit) are possible: this is not a safetensors file, or it is cut off."
    case .header(let path): "\(path): its header is not the JSON of a safetensors file: \(Self.damaged)"
    case .shape(let path, let tensor, let shape):
      "\(path): '\(tensor)' has the impossible shape \(shape): \(Self.damaged)"
    case .type(let path, let tensor, let type):
      "\(path): '\(tensor)' is stored as \(type), but only F32, F16 and BF16 are read: save it as one of these."
    case .length(let path, let tensor, let needs, let has):
      "\(path): '\(tensor)' needs \(needs) bytes by its shape, \(has) by its offsets: \(Self.damaged)"
    case .offsets(let path, let tensor, let start, let expected):
      "\(path): '\(tensor)' starts at byte \(start) of the data, the one before it ends at \(expected): \(Self.damaged)"
    case .trailing(let path, let ends, let has):
      "\(path): its tensors end at byte \(ends) of the data, the file at \(has): the download is probably incomplete, get it again."
    case .missing(let path, let tensor): "\(path): there is no tensor '\(tensor)' in it: get the file again."
    case .notMatrix(let path, let tensor, let shape):
      "\(path): '\(tensor)' has the shape \(shape), but a matrix is needed: export the adapter again."
    case .index(let path):
      "\(path): this is no index of safetensors files, a JSON object with 'weight_map': get it again."
    case .shardName(let path, let name):
      "\(path): it names '\(name)', which is not a safetensors file of the same folder: do not use this adapter."
    case .unlisted(let path, let tensor):
      "\(path): '\(tensor)' is in it, but the index does not say so: get the files of one adapter."
    case .both(let file, let index):
      "There are '\(file)' and '\(index)', which may differ: remove the one that is not meant."
    }
  }

  private static let damaged = "the file is damaged, get it again."
}
