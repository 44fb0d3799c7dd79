/// Examples to imitate as the trainer takes them: the chosen answer alone.

import Llama
import Tokenization
import Training

extension ExampleRecord {
  /// The same example with token ids, those it has or those of its text, that `model` can run. Errors are those of
  /// `PairRecord.encoded`.
  public func encoded(by encoder: PromptEncoder, for model: LlamaModel) throws -> ExampleRecord {
    var record = self
    let inputs = try TemplateInputs(extra)
    let prompt = try promptIDs ?? encoder.prompt(prompt, inputs)
    let chosen = try chosenIDs ?? encoder.response(chosen.lastText, after: self.prompt, inputs).ids
    try model.checkAnswers([("chosen_ids", chosen)], to: prompt)
    (record.promptIDs, record.chosenIDs) = (prompt, chosen)
    return record
  }

  /// - Throws: `PairError.notEncoded` for an example without token ids.
  public func trainingPair() throws(PairError) -> TrainingPair {
    guard let promptIDs, let chosenIDs, !promptIDs.isEmpty, !chosenIDs.isEmpty else { throw .notEncoded }
    return TrainingPair(ScoredGroup(prompt: promptIDs, answers: [chosenIDs]))
  }
}
