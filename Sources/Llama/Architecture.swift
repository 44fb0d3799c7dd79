import Tensors

/// What sets one architecture of the family apart. The rest is the same code for all: what is not here is a key or a tensor
/// of the file that may be there or not (biases, scales, windows, scalings).
public struct Architecture: Equatable, Sendable {
  /// `general.architecture`, and the prefix of the file's keys.
  public let name: String
  /// Converters write the rows of q and k of some architectures in another order than Hugging Face has them.
  public let rotaryPairs: RotaryPairs
  /// Each head of q and k goes through a norm before it turns (Qwen 3).
  let normsHeads: Bool

  /// Llama 1 to 3.3, Mistral, SmolLM, TinyLlama and whatever else was converted as one of these.
  public static let llama = Architecture(name: "llama", rotaryPairs: .neighbours, normsHeads: false)

  static let granite = Architecture(name: "granite", rotaryPairs: .neighbours, normsHeads: false)

  /// All that run. Facts: conversion and model code of llama.cpp.
  public static let all = [
    llama,
    Architecture(name: "mistral3", rotaryPairs: .neighbours, normsHeads: false),
    granite,
    Architecture(name: "qwen2", rotaryPairs: .halves, normsHeads: false),
    Architecture(name: "qwen3", rotaryPairs: .halves, normsHeads: true),
  ]

  /// - Throws: `LlamaError.architecture` for another one.
  init(named name: String) throws {
    guard let known = Self.all.first(where: { $0.name == name }) else { throw LlamaError.architecture(name) }
    self = known
  }

  private init(name: String, rotaryPairs: RotaryPairs, normsHeads: Bool) {
    (self.name, self.rotaryPairs, self.normsHeads) = (name, rotaryPairs, normsHeads)
  }
}
