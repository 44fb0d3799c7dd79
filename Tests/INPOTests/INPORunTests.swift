/// Nothing lost, nothing half begun: a run stopped at any point ends like one that was not, and a run that cannot work is
/// refused before its folder is touched.

import Foundation
import GGUF
import INPO
import Llama
import Tensors
import TestSupport
import Testing
import Tokenization

@Suite struct INPORunTests {
  /// What must be equal to the bit.
  private static let files = ["adapter.gguf", "round-1/responses.jsonl", "round-1/pairs.jsonl", "round-2/pairs.jsonl"]
  private static let phases: Set<String> = ["sample", "judge", "score", "train", "evaluate"]

  private func expectSame(
    _ folder: String, _ report: Report, _ whole: String, _ want: Report, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(report == want, "\(what)", sourceLocation: sourceLocation)
    for file in Self.files {
      let same = try AtomicFile.read("\(folder)/\(file)") == AtomicFile.read("\(whole)/\(file)")
      #expect(same, "\(file), \(what)", sourceLocation: sourceLocation)
    }
    #expect(!FileSystem.exists(folder + "/round-1/responses.partial.jsonl"), sourceLocation: sourceLocation)
  }

  @Test func cancelledAtAnyQuestion() async throws {
    let small = try SmallRun()
    let whole = try temporaryFolder()
    let count = Notes()
    let want = try await small.run(
      whole,
      isCancelled: {
        count.asked += 1
        return false
      })
    let notes = Notes()
    for stop in 0..<count.asked {
      let folder = try temporaryFolder()
      notes.asked = 0
      await #expect(throws: CancellationError.self) {
        try await small.run(
          folder, observer: .init(onPhase: { _, phase, _ in notes.phase = phase }),
          isCancelled: {
            notes.asked += 1
            return notes.asked > stop
          })
      }
      notes.stopped.insert(notes.phase?.rawValue ?? "")
      let report = try await small.run(folder, resume: true)
      try expectSame(folder, report, whole, want, "cancelled at question \(stop)")
    }
    #expect(notes.stopped == Self.phases)
  }

  /// A kill leaves the folder as it is at that moment: copies of it, taken at every sign of progress.
  @Test func killedAtAnyProgress() async throws {
    let small = try SmallRun()
    let whole = try temporaryFolder()
    let notes = Notes()
    func copy() {
      let copy = "\(whole)-\(notes.copies.count)"
      guard (try? FileManager.default.copyItem(atPath: whole, toPath: copy)) != nil else { return }
      notes.copies.append(copy)
      notes.stopped.insert(notes.phase?.rawValue ?? "")
    }
    let observer = INPORun.Observer(
      onPhase: { _, phase, _ in
        notes.phase = phase
        copy()
      },
      onProgress: { steps, _ in if steps > 0 { copy() } }, onStep: { _ in copy() })
    let want = try await small.run(whole, observer: observer)
    #expect(notes.stopped == Self.phases)
    for folder in notes.copies {
      let report = try await small.run(folder, resume: true)
      try expectSame(folder, report, whole, want, folder)
    }
  }

  /// Sampling goes on after the last whole record; a torn line is dropped.
  @Test func sampledAnswersAreKept() async throws {
    let small = try SmallRun()
    let (whole, killed) = (try temporaryFolder(), try temporaryFolder())
    let want = try await small.run(whole)
    let lines = String(decoding: try AtomicFile.read(whole + "/round-1/responses.jsonl"), as: UTF8.self)
    let first = try #require(lines.split(separator: "\n").first)
    try FileSystem.createFolder(killed + "/round-1")
    try AtomicFile.write("\(first)\n\(lines.suffix(50).dropLast())", to: killed + "/round-1/responses.partial.jsonl")
    let notes = Notes()
    let observer = INPORun.Observer(
      onPhase: { _, phase, _ in notes.phase = phase },
      onProgress: { steps, tokens in
        if notes.phase == .sample && steps > 0 { notes.copies.append("\(steps)") }
      })
    let report = try await small.run(killed, resume: true, observer: observer)
    try expectSame(killed, report, whole, want, "one record was there")
    // Round 1: four answers from the file at once, four sampled; round 2: twice four.
    #expect(notes.copies == ["4", "4", "4", "4"])
  }

  // MARK: What is refused

  @Test func aFolderInUseIsRefusedUnlessResumed() async throws {
    let small = try SmallRun()
    let folder = try temporaryFolder()
    let want = try await small.run(folder)
    #expect(throws: RunError.folderExists(folder)) { try small.open(folder) }
    #expect(try await small.run(folder, resume: true) == want)
  }

  @Test func onlySettingsThatDecideBitsMustStay() throws {
    var small = try SmallRun()
    let folder = try temporaryFolder()
    _ = try small.open(folder)
    (small.config.memory, small.config.checkpointSteps) = (1 << 28, 7)
    _ = try small.open(folder, resume: true)
    #expect(try RunConfig.read(folder + "/config.yaml") == small.config)
    (small.config.eta, small.config.learningRate) = (0.2, 1e-3)
    #expect(throws: RunError.otherConfig(folder + "/config.yaml", settings: ["eta", "lr"])) {
      try small.open(folder, resume: true)
    }
  }

  @Test func changedInputsAreNamed() throws {
    let small = try SmallRun()
    let folder = try temporaryFolder()
    _ = try small.open(folder)
    #expect(try Manifest.read(folder + "/manifest.json").files.keys.sorted() == ["heldout", "prompts"])
    let before = try AtomicFile.read(small.config.prompts)
    _ = try SmallRun.file(small.config.prompts, ["One?", "Two?", "Three?", "Five?"])
    #expect(throws: RunError.inputChanged(small.config.prompts, folder: folder)) {
      try small.open(folder, resume: true)
    }
    try AtomicFile.write(before, to: small.config.prompts)
    _ = try small.open(folder, resume: true)
    var model = try AtomicFile.read(small.config.model)
    model[model.count - 1] ^= 1
    try AtomicFile.write(model, to: small.config.model)
    #expect(throws: RunError.inputChanged(small.config.model, folder: folder)) { try small.open(folder, resume: true) }
  }

  @Test func aRunThatCannotWorkLeavesNoFolder() throws {
    func expectRefused(_ change: (inout RunConfig) throws -> Void, _ location: SourceLocation = #_sourceLocation) throws
    {
      var small = try SmallRun()
      try change(&small.config)
      let folder = try temporaryFolder() + "/run"
      #expect(throws: (any Error).self, sourceLocation: location) { try small.open(folder) }
      #expect(!FileSystem.exists(folder), sourceLocation: location)
    }
    try expectRefused { $0.targets = "attn_x" }
    try expectRefused { $0.reference = "/no/such/adapter.gguf" }
    try expectRefused { $0.oracle = "matrix:/no/such/table" }
    try expectRefused { $0.prompts = "/no/such/prompts" }
    try expectRefused { $0.evaluatePrompts = try SmallRun.file($0.model + ".jsonl", [""]) }
    try expectRefused { $0.sampling.sampler.topP = 0 }
    try expectRefused { $0.sampling.maximumTokens = 300 }
    try expectRefused { $0.sampling.stopTokens = ["two letters"] }
    try expectRefused { $0.sampling.sampler.logitBias = [4000: 1] }
    try expectRefused { $0.promptsPerRound = .max }
  }

  /// Line ends of other systems and blank lines count as an editor counts them.
  @Test func aBadPromptIsNamedByItsLine() throws {
    let small = try SmallRun()
    let long = String(repeating: "x", count: 300)
    let text = "{\"prompt\":\"a\"}\r\n\r\n{\"prompt\":\"b\"}\r\n{\"prompt\":\"\(long)\"}\r\n"
    for path in [small.config.prompts, small.config.evaluatePrompts] {
      let before = try AtomicFile.read(path)
      try AtomicFile.write(text, to: path)
      let reason = "\(LlamaError.contextExceeded(needed: 305, limit: 256))"
      #expect(throws: RunError.badRecord(file: path, line: 4, reason: reason)) { try small.open(temporaryFolder()) }
      try AtomicFile.write(before, to: path)
    }
  }

  @Test func tooFewPromptsAreCounted() throws {
    var small = try SmallRun()
    small.config.rounds = 3
    small.config.promptsPerRound = 2
    #expect(throws: RunError.tooFewPrompts(needs: 6, has: 4)) { try small.open(temporaryFolder()) }
    small.config.rounds = 5
    small.config.promptsPerRound = 0
    #expect(throws: RunError.tooFewPrompts(needs: 5, has: 4)) { try small.open(temporaryFolder()) }
  }

  // MARK: How answers are drawn

  @Test func answersAreDrawnAndEndedAsTheSettingsSay() async throws {
    var small = try SmallRun()
    small.config.sampling.sampler.penalties.repetition = 1.3
    // Bytes of the tiny model are tokens: one is forbidden, two end answers as texts and one as a token.
    let tokenizer = try Tokenizer(GGUFFile.open(small.config.model).metadata)
    func id(_ text: String) throws -> TokenID { try #require(tokenizer.encode(text, parseSpecial: false).first) }
    let (forbidden, ending) = (try id("a"), try id("i"))
    let endings = [try id("e"), try id("t"), ending]
    small.config.sampling.sampler.logitBias = [forbidden: -.infinity, endings[0]: 3, endings[1]: 3, ending: 3]
    small.config.sampling.sampler.topK = 60
    (small.config.sampling.stopStrings, small.config.sampling.stopTokens) = (["e", "t"], ["i"])
    small.config.sampling.maximumTokens = 20
    let folder = try temporaryFolder()
    let report = try await small.run(folder)
    var ends = 0
    for round in 1...2 {
      for record in try JSONLines.read(ResponseRecord.self, from: folder + "/round-\(round)/responses.jsonl") {
        for answer in record.responses {
          #expect(!answer.tokenIDs.contains(forbidden) && answer.tokenIDs.count <= 20)
          #expect(!answer.text.contains("e") && !answer.text.contains("t"))
          #expect(answer.behaviourLogps != answer.logps)
          #expect(!answer.tokenIDs.dropLast().contains(ending))
          if let last = answer.tokenIDs.last, endings.contains(last), answer.finish == .stop { ends += 1 }
        }
      }
    }
    #expect(ends > 0)
    // Neither slots nor memory decide a bit.
    (small.config.sampling.parallel, small.config.memory) = (1, 16 << 20)
    let alone = try temporaryFolder()
    #expect(try await small.run(alone) == report)
    #expect(try AtomicFile.read(alone + "/adapter.gguf") == AtomicFile.read(folder + "/adapter.gguf"))
  }

  @Test func equalAnswersGiveNoTournamentPair() async throws {
    var small = try SmallRun()
    small.config.sampling.sampler.temperature = 0
    small.config.pairs = .tournament
    let folder = try temporaryFolder()
    await #expect(throws: RunError.noPairs(round: 1, oracle: "rule:concise")) { try await small.run(folder) }
  }
}
