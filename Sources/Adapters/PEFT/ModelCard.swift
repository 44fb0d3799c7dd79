/// README.md of a PEFT folder: what the adapter is for, how it was made, how it is loaded.
struct ModelCard {
  /// On its hub; nil when that is not known.
  let base: String?
  let origin: LoRAOrigin
  let rank: Int
  let alpha: Float

  var text: String {
    let name = base ?? origin.base
    return """
      ---
      library_name: peft
      \(base.map { "base_model: \(jsonString($0))\n" } ?? "")tags:
      - lora
      - parley
      ---

      # LoRA adapter\(name.map { " for \(Self.line($0))" } ?? "")

      | | |
      |---|---|
      \(rows(name).map { "| \($0) | \(Self.line($1).replacing("|", with: "\\|")) |" }.joined(separator: "\n"))

      ```python
      from peft import PeftModel
      from transformers import AutoModelForCausalLM

      model = AutoModelForCausalLM.from_pretrained(\(jsonString(base ?? "THE BASE MODEL")))
      model = PeftModel.from_pretrained(model, "THIS FOLDER")
      ```

      """
  }

  private func rows(_ name: String?) -> [(String, String)] {
    let facts = origin.facts.sorted { $0.key < $1.key }.map { (Self.titles[$0.key] ?? $0.key, $0.value) }
    return [("base", name ?? "not known"), ("rank", "\(rank)"), ("alpha", "\(alpha)")] + facts
  }

  private static let titles = [
    "eta": "η", "tau": "τ", "data": "data (SHA-256)", "model": "base file (SHA-256)",
  ]

  /// One line whatever was given, since facts may come from a stranger's file.
  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}
