import Foundation
import Generation
import INPO
import Oracles
import Tensors
import Testing
import Training

private func config(_ yaml: String) throws -> RunConfig { try RunConfig(yaml: yaml, file: "run.yaml") }

@Test func settingsAreRead() throws {
  let config = try config(
    """
    # a comment
    model: weights/model.gguf
    prompts: "my prompts.jsonl"
    rounds: 2
    samples: 4
    temperature: 0.7
    loss: inpo
    eta: 7.5e-3
    ratio: 1/3
    lr: 1e-4
    schedule: linear
    warmup: 10
    targets: attn_q,attn_v
    optimizer: adamw-8bit
    lora-plus-ratio: 16
    rslora: true
    rank-pattern: attn_q=8, ffn_down=32
    alpha-pattern: blk.0.attn_q=4
    dropout: 0.05
    pairs: soft
    backward: f32
    memory: 1.5GiB
    seed: 18446744073709551615
    raw: true
    """)
  var want = RunConfig()
  want.model = "weights/model.gguf"
  want.prompts = "my prompts.jsonl"
  want.rounds = 2
  want.samples = 4
  want.sampling.sampler.temperature = 0.7
  want.loss = .inpo
  want.eta = 0.0075
  want.ratio = 1.0 / 3
  want.learningRate = 1e-4
  want.schedule = .linear
  want.warmUp = .steps(10)
  want.targets = "attn_q,attn_v"
  want.optimizer = .adamW8Bit
  want.loraPlusRatio = 16
  want.rslora = true
  want.rankPattern = "attn_q=8, ffn_down=32"
  want.alphaPattern = "blk.0.attn_q=4"
  want.dropout = 0.05
  want.pairs = .soft
  want.backward = .f32
  want.memory = 3 << 29
  want.seed = .max
  want.raw = true
  #expect(config == want)
}

/// Every setting of the sampler, as a run file has it and as options give it.
private let chain: [(name: String, values: [String])] = [
  ("temperature", ["0.8"]), ("top-k", ["40"]), ("top-p", ["0.9"]), ("min-p", ["0.05"]), ("typical", ["0.95"]),
  ("top-n-sigma", ["1.5"]), ("xtc-probability", ["0.5"]), ("xtc-threshold", ["0.2"]), ("dynatemp-range", ["0.3"]),
  ("dynatemp-exp", ["2"]), ("repeat-penalty", ["1.1"]), ("frequency-penalty", ["-0.2"]), ("presence-penalty", ["0.3"]),
  ("repeat-last-n", ["-1"]), ("dry-multiplier", ["0.8"]), ("dry-base", ["2"]), ("dry-allowed-length", ["3"]),
  ("dry-penalty-last-n", ["100"]), ("dry-sequence-breaker", ["\n", "\""]), ("mirostat", ["true"]),
  ("mirostat-ent", ["4"]), ("mirostat-lr", ["0.2"]), ("logit-bias", ["15=-inf", "2=1.5"]),
  ("samplers", ["temperature;top_k;top_p;min_p;typ_p;top_n_sigma;xtc;penalties;dry"]), ("stop", ["User:", "\r\n# "]),
  ("stop-token", ["7", "<|im_end|>"]), ("ignore-eos", ["true"]), ("max-new-tokens", ["77"]), ("parallel", ["3"]),
]

@Test func theWholeSamplerIsReadFromFilesAndOptionsAlike() throws {
  var want = SamplingSettings()
  want.sampler = SamplerConfig(temperature: 0.8, topK: 40, topP: 0.9, minP: 0.05)
  (want.sampler.typicalP, want.sampler.topNSigma) = (0.95, 1.5)
  want.sampler.xtc = XTC(probability: 0.5, threshold: 0.2)
  want.sampler.dynamicTemperature = DynamicTemperature(range: 0.3, exponent: 2)
  want.sampler.penalties = Penalties(repetition: 1.1, frequency: -0.2, presence: 0.3, window: -1)
  want.sampler.dry = DRY(multiplier: 0.8, base: 2, allowedLength: 3, window: 100)
  want.breakers = ["\n", "\""]
  (want.usesMirostat, want.mirostat) = (true, Mirostat(target: 4, rate: 0.2))
  want.sampler.logitBias = [15: -.infinity, 2: 1.5]
  want.order = try SamplerOrder("temperature;top_k;top_p;min_p;typ_p;top_n_sigma;xtc;penalties;dry")
  (want.stopStrings, want.stopTokens, want.ignoresEnd) = (["User:", "\r\n# "], ["7", "<|im_end|>"], true)
  (want.maximumTokens, want.parallel) = (77, 3)
  try want.check()

  let options = chain.flatMap { name, values in values.map { (name: name, value: $0) } }
  let given = try RunConfig(options: options)
  #expect(given.sampling == want)
  #expect(given.yaml.contains(#"stop: ["User:", "\r\n# "]"#))
  #expect(try config(given.yaml) == given)
  // No setting of the sampler is left out above, and all but the batch's size decide bits.
  let names = chain.map(\.name)
  for (name, value) in RunConfig().deciding where given.deciding[name] != value { #expect(names.contains(name)) }
  for name in names {
    #expect((given.deciding[name] != RunConfig().deciding[name]) == (name != "parallel"), "\(name)")
  }
}

@Test func optionsReplaceAFilesListAndAddToTheirOwn() throws {
  let file = "stop: [a, b]\nlogit-bias: [1=2]\nstop-token: c\n"
  #expect(try config(file).sampling.stopStrings == ["a", "b"])
  #expect(try config(file).sampling.stopTokens == ["c"])
  let options = [(name: "stop", value: "x"), (name: "stop", value: "y"), (name: "logit-bias", value: "3=4")]
  let both = try RunConfig(yaml: file, file: "f", options: options).sampling
  #expect(both.stopStrings == ["x", "y"] && both.sampler.logitBias == [3: 4] && both.stopTokens == ["c"])
  #expect(throws: ConfigError.self) { try config("stop: [[a], b]") }
}

@Test func samplersThatExcludeEachOtherAreNamed() throws {
  let both = try config("samplers: top_k;temperature\nhf-order: true\n").sampling
  #expect(throws: SamplerError.excluding("samplers", "hf-order")) { try both.check() }
  #expect(throws: SamplerError.leftOut("top_p", "top_k")) { try config("samplers: top_k\ntop-p: 0.5").sampling.check() }
  #expect(throws: SamplerError.self) { try config("stop: ''").sampling.check() }
  #expect(try config("samplers: llama\nhf-order: true\n").sampling.order == nil)
}

@Test func ratioTakesDecimalsFractionsAndTau() throws {
  #expect(try config("ratio: 0.333").ratio == 0.333)
  #expect(try config("ratio: 1 / 4").ratio == 0.25)
  #expect(try config("tau: 0.001\neta: 0.004").ratio == 0.25)
  #expect(try config("warmup: 0.1").warmUp == .ratio(0.1))
  #expect(throws: ConfigError.tauAndRatio(file: "run.yaml", line: 2)) { try config("tau: 0.001\nratio: 0.1") }
  #expect(throws: ConfigError.self) { try config("eta: 0.001\ntau: 0.002") }
}

@Test func everyDefaultIsWrittenOutAndReadsBack() throws {
  var settings = RunConfig()
  #expect(try config(settings.yaml) == settings)
  for field in ConfigField.all {
    let isUsed = !["beta", "label-smoothing", "gamma"].contains(field.name)
    #expect(("\n" + settings.yaml).contains("\n\(field.name): ") == isUsed, "\(field.name)")
  }
  settings.model = "a \"strange\" path: # \\ [x]\t.gguf"
  settings.prompts = "-p"
  settings.oracle = "matrix:/tmp/ä b.csv"
  settings.evaluatePrompts = "null"
  settings.eta = 0.1 + 0.2
  settings.memory = 1 << 34
  settings.warmUp = .steps(3)
  settings.seed = .max
  #expect(try config(settings.yaml) == settings)
}

@Test func unknownKeysNameTheNearest() {
  for (key, nearest) in [
    ("learning_rate", "lr"), ("max_grad_norm", "max-grad-norm"), ("sample", "samples"), ("Eta", "eta"), ("tua", "tau"),
  ] {
    #expect(throws: ConfigError.unknownKey(file: "run.yaml", line: 3, key: key, nearest: nearest)) {
      try config("# first\nmodel: m\n\(key): 1\n")
    }
  }
  let error = ConfigError.unknownKey(file: "run.yaml", line: 3, key: "etta", nearest: "eta")
  #expect("\(error)" == "Line 3 of 'run.yaml' sets 'etta', which is not known. Did you mean 'eta'?")
}

@Test(arguments: [
  ("rounds", "0"), ("rounds", "two"), ("rounds", "1.5"), ("samples", "1"), ("eta", "0"), ("eta", "-1"), ("eta", ".nan"),
  ("eta", "1/0"), ("ratio", "1.1"), ("ratio", "1/3/4"), ("loss", "kto"), ("pairs", "best"), ("schedule", "cos"),
  ("warmup", "1.5"), ("warmup", "-0.1"), ("top-p", "1.01"), ("memory", "16GB"), ("memory", "-1GiB"), ("raw", "yes"),
  ("samplers", "top_k;top_q"), ("logit-bias", "15"), ("logit-bias", "x=1"), ("repeat-last-n", "-2"), ("parallel", "0"),
  ("seed", "-1"), ("precision", "bf16"), ("tau", "x"), ("model", "[a, b]"),
])
func badValuesAreNamed(key: String, value: String) {
  #expect {
    try config("prompts: p\n\n\(key): \(value)\n")
  } throws: { error in
    guard case ConfigError.badValue("run.yaml", 3, key, _, _) = error else { return false }
    return true
  }
}

@Test func brokenFilesAreNamed() {
  #expect(throws: ConfigError.notAMapping(file: "run.yaml")) { try config("") }
  #expect(throws: ConfigError.notAMapping(file: "run.yaml")) { try config("- a\n- b\n") }
  for (text, line) in [("model: m\neta: [1,\nlr: 2\n", 3), ("a: b\n\tc: d\n", 2), ("lr: 1\neta: 1\nlr: 2\n", 1)] {
    #expect {
      try config(text)
    } throws: { error in
      guard case ConfigError.notYAML("run.yaml", let found, _) = error else { return false }
      return abs(found - line) <= 1
    }
  }
  #expect(throws: ConfigError.missing(file: "f", key: "prompts")) {
    try config("model: m").requireInputs(file: "f")
  }
}

@Test func optionsUseTheSameReaders() throws {
  #expect(try RunConfig(options: [("lr", "2e-4")]).learningRate == 2e-4)
  #expect(throws: ConfigError.unknownOption(name: "etta", nearest: "eta")) { try RunConfig(options: [("etta", "1")]) }
  #expect(throws: ConfigError.self) { try RunConfig(options: [("rank", "0")]) }
}

/// tau is a number of its own: ratio follows from it and from the eta that holds in the end.
@Test func tauWaitsForEta() throws {
  for options in [[("tau", "0.001"), ("eta", "0.5")], [("eta", "0.5"), ("tau", "0.001")]] {
    #expect(try RunConfig(options: options).ratio == 0.001 / 0.5)
  }
  let file = "tau: 0.001\neta: 0.002\n"
  #expect(try RunConfig(yaml: file, file: "f", options: [("eta", "0.01")]).ratio == 0.001 / 0.01)
  #expect(try RunConfig(yaml: file, file: "f", options: [("ratio", "0.25")]).ratio == 0.25)
  #expect(try RunConfig(yaml: "ratio: 0.5\n", file: "f", options: [("tau", "0.001")]).ratio == 0.001 / 0.005)
  #expect(throws: ConfigError.badValue(file: "f", line: 1, key: "tau", value: "0.001", expects: "at most eta, 0.0001"))
  {
    try RunConfig(yaml: file, file: "f", options: [("eta", "1e-4")])
  }
  for options in [[("tau", "0.001"), ("ratio", "0.5")], [("ratio", "0.5"), ("tau", "0.001")]] {
    #expect(throws: ConfigError.tauAndRatioOptions) { try RunConfig(options: options) }
  }
}

@Test func settingsTheLossDoesNotUseAreRefused() throws {
  for name in ["eta", "ratio", "tau"] {
    #expect(throws: ConfigError.unusedOption(name: name, loss: .dpo)) {
      try RunConfig(options: [(name, "0.001"), ("loss", "dpo")])
    }
  }
  #expect(throws: ConfigError.unused(file: "run.yaml", line: 1, key: "beta", loss: .inpo)) { try config("beta: 0.2") }
  #expect(try RunConfig(options: [("loss", "ipo"), ("beta", "0.2")]).beta == 0.2)
  for (name, loss) in [
    ("beta", RunConfig.LossName.sft), ("label-smoothing", .hinge), ("gamma", .dpo), ("eta", .sppo),
  ] {
    #expect(throws: ConfigError.unusedOption(name: name, loss: loss)) {
      try RunConfig(options: [(name, "0.1"), ("loss", loss.rawValue)])
    }
  }
}

@Test func onlyWhatDecidesBitsIsCompared() throws {
  let settings = RunConfig()
  var other = settings
  (other.memory, other.threads, other.checkpointSteps, other.checkpointMinutes) = (1 << 30, 3, 1, 0)
  #expect(other.deciding == settings.deciding)
  other.eta = 0.1
  #expect(other.deciding != settings.deciding)
}

@Test func helpStandsAloneAndShowsTheDefault() throws {
  #expect(
    try #require(ConfigField.named("schedule")).sentence
      == "Course of the rate: constant, cosine or linear. (default: cosine)")
  for field in ConfigField.all { #expect(field.sentence.hasSuffix(")") && !field.sentence.contains("Of ")) }
}

@Test func theLossIsTheOneNamed() throws {
  var settings = RunConfig()
  #expect(try settings.makeLoss() as? INPOLoss == INPOLoss(eta: 0.005, ratio: 1.0 / 3))
  settings.ratio = 0
  #expect(try settings.makeLoss() as? INPOLoss == INPOLoss.withoutKL(eta: 0.005))
  settings.loss = .dpo
  #expect(try settings.makeLoss() as? DPOLoss == DPOLoss(beta: 0.1))
  settings.labelSmoothing = 0.2
  #expect(try settings.makeLoss() as? DPOLoss == DPOLoss(beta: 0.1, labelSmoothing: 0.2))
  settings.loss = .robust
  #expect(try settings.makeLoss() as? DPOLoss == DPOLoss(beta: 0.1, labelSmoothing: 0.2, isRobust: true))
  for name in [RunConfig.LossName.ipo, .onlineIPO] {
    settings.loss = name
    #expect(try settings.makeLoss() as? IPOLoss == IPOLoss(beta: 0.1))
  }
  settings.loss = .ipoMean
  #expect(try settings.makeLoss() as? IPOLoss == IPOLoss(beta: 0.1, perToken: true))
  settings.loss = .hinge
  #expect(try settings.makeLoss() as? HingeLoss == HingeLoss(beta: 0.1))
  settings.loss = .sft
  #expect(try settings.makeLoss() as? SFTLoss == SFTLoss())
}

/// β is the loss's own unless it is given.
@Test func betaFollowsTheLoss() throws {
  #expect(
    try RunConfig(options: [("loss", "simpo")]).makeLoss() as? SimPOLoss == SimPOLoss(beta: 2.5, gamma: 1.375))
  #expect(try RunConfig(options: [("loss", "sppo")]).makeLoss() as? SPPOLoss == SPPOLoss(beta: 0.001))
  #expect(try config("loss: sppo\nbeta: 0.1").beta == 0.1)
  for loss in RunConfig.LossName.allCases {
    let settings = try config("loss: \(loss.rawValue)")
    #expect(try config(settings.yaml) == settings)
  }
}

@Test func fingerprintsAreSHA256() throws {
  // FIPS 180-2, appendix B.1, and the digest of nothing.
  #expect(
    Fingerprint.of(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  #expect(Fingerprint.of([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())").path
  // FIPS 180-2, appendix B.3: a million times "a". Longer than a block of the reader: three of them.
  let million = Data(repeating: UInt8(ascii: "a"), count: 1_000_000)
  try million.write(to: URL(fileURLWithPath: path))
  #expect(
    try Fingerprint.of(file: path) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  try (million + million + million).write(to: URL(fileURLWithPath: path))
  #expect(try Fingerprint.of(file: path) == Fingerprint.of(million + million + million))
  #expect(throws: FileError.notFound(path + "x")) { try Fingerprint.of(file: path + "x") }
}
