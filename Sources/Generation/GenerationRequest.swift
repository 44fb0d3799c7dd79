import Llama
import Tensors
import Tokenization

/// One prompt and how many answers it should get.
public struct GenerationRequest {
  public let prompt: [TokenID]
  /// Keys the randomness, with the sample's index: an answer does not depend on what else is generated.
  public let index: Int
  public let samples: Int
  /// Positions that are computed already, a prefix of `prompt`: an earlier turn of a conversation. Left unchanged.
  public let past: KVSequence?
  /// Most new tokens of an answer, where the generator's own limit is not meant.
  public let maximumTokens: Int?

  public init(
    prompt: [TokenID], index: Int, samples: Int, past: KVSequence? = nil, maximumTokens: Int? = nil
  ) {
    self.prompt = prompt
    self.index = index
    self.samples = samples
    self.past = past
    self.maximumTokens = maximumTokens
  }
}

/// A token as it is drawn.
public struct GeneratedToken: Equatable, Sendable {
  /// Place of the request in the list that was given.
  public let request: Int
  public let sample: Int
  public let token: TokenID
  /// Raw log-probability: temperature 1, before any sampler.
  public let logProb: Float
  /// Log-probability under the whole sampler chain.
  public let behaviourLogProb: Float
  /// What can be shown now, if the generator has a tokenizer: whole characters, and nothing that may begin a stop string.
  public let text: String
  /// Set with an answer's last token.
  public let finish: Finish?
}

/// One sampled answer.
public struct Sample {
  /// With the end token, or with those of the stop string, when one ended the answer.
  public internal(set) var tokens: [TokenID] = []
  /// Raw log-probability of each token: temperature 1, before any sampler.
  public internal(set) var logProbs: [Float] = []
  /// Log-probability of each token under the whole sampler chain.
  public internal(set) var behaviourLogProbs: [Float] = []
  /// Without end token and stop string; empty unless the generator has a tokenizer.
  public internal(set) var text = ""
  public internal(set) var finish: Finish = .length
  /// The prompt and all tokens but the last, as computed; nil unless `keepsSequences` asks for it.
  public internal(set) var sequence: KVSequence?
}

public struct GenerationOptions {
  public var sampler: SamplerConfig
  public var seed: UInt64
  /// Most new tokens of an answer.
  public var maximumTokens: Int
  /// Tokens that end an answer.
  public var endTokens: Set<TokenID>
  /// Texts that end an answer, not empty. They need a generator with a tokenizer.
  public var stopStrings: [String] = []
  /// Answers in flight at once, if memory has room for them.
  public var maximumSequences: Int
  /// Bytes that may be held beside the model: keys and values, and the working memory.
  public var memory: Int
  /// Whether finished answers keep their keys and values, for a later turn; otherwise that memory is free at once.
  public var keepsSequences: Bool
  /// Asked between steps; true ends the run with `CancellationError`, as cancelling its task does.
  public var isCancelled: () -> Bool

  public init(
    sampler: SamplerConfig, seed: UInt64, maximumTokens: Int, endTokens: Set<TokenID>,
    maximumSequences: Int = Self.defaultSequences,
    memory: Int = Self.defaultMemory, keepsSequences: Bool = false, isCancelled: @escaping () -> Bool = { false }
  ) {
    self.sampler = sampler
    self.seed = seed
    self.maximumTokens = maximumTokens
    self.endTokens = endTokens
    self.maximumSequences = maximumSequences
    self.memory = memory
    self.keepsSequences = keepsSequences
    self.isCancelled = isCancelled
  }

  public static let defaultSequences = 128

  /// Half of the memory this process may use.
  public static var defaultMemory: Int { MemoryLimit.automatic / 2 }
}
