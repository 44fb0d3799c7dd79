import Foundation
import Tokenization

/// The bytes as a chat template.
enum Templates {
  static let conversation = [
    ChatMessage(role: "system", content: " be brief\n"), ChatMessage(role: "user", content: "grüße 🙂 {{ x }}"),
    ChatMessage(role: "assistant", content: "a<think>b</think>c"), ChatMessage(role: "user", content: ""),
  ]

  static func render(_ bytes: [UInt8]) {
    guard let source = String(validating: bytes, as: UTF8.self) else { return }
    guard let template = try? ChatTemplate(source: source, bosToken: "<s>", eosToken: "</s>") else { return }
    render(template)
  }

  static func render(_ template: ChatTemplate) {
    for generation in [false, true] {
      _ = try? template.render(conversation, addGenerationPrompt: generation, date: Date(timeIntervalSince1970: 0))
    }
  }
}
