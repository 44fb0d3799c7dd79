import Adapters
import Testing

struct LoRATargetTests {
  @Test func groupsAndNamesAreRead() throws {
    #expect(LoRATarget.inBlock == Array(LoRATarget.allCases.dropLast(2)))
    #expect(try LoRATarget.parse(list: "all-linear", isTied: false) == LoRATarget.inBlock)
    #expect(try LoRATarget.parse(list: "token_embd,output,all-linear", isTied: false) == LoRATarget.allCases)
    #expect(try LoRATarget.parse(list: "lm_head", isTied: false) == [.output])
    #expect(try LoRATarget.parse(list: "attention", isTied: true) == [.attnQ, .attnK, .attnV, .attnOutput])
    #expect(try LoRATarget.parse(list: "mlp", isTied: false) == [.ffnGate, .ffnUp, .ffnDown])
    #expect(try LoRATarget.parse(list: "v_proj, attn_q", isTied: true) == [.attnQ, .attnV])
    #expect(
      try LoRATarget.parse(list: "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", isTied: true)
        == LoRATarget.inBlock)
    #expect(try LoRATarget.parse(list: "mlp,down_proj,ffn_down", isTied: true) == [.ffnGate, .ffnUp, .ffnDown])
  }

  @Test func unknownNamesGetTheNearest() {
    for (name, nearest) in [("atn_q", "attn_q"), ("kproj", "k_proj"), ("all_linear", "all-linear"), ("", "mlp")] {
      #expect(throws: AdapterError.unknownTarget(name, nearest: nearest)) {
        try LoRATarget.parse(list: name, isTied: true)
      }
    }
    #expect(throws: AdapterError.unknownTarget("", nearest: "mlp")) {
      try LoRATarget.parse(list: "attn_q,,attn_v", isTied: true)
    }
  }

  @Test(arguments: ["lm_head", "output", "embed_tokens", "token_embd"])
  func headAndEmbeddingOfATiedModelAreRefusedWithTheReason(name: String) {
    #expect(throws: AdapterError.tied(name)) { try LoRATarget.parse(list: "mlp,\(name)", isTied: true) }
    #expect("\(AdapterError.tied(name))".contains("one matrix as embedding and head"))
  }

  @Test(arguments: ["embed_tokens", "token_embd"]) func theEmbeddingOfAnUntiedModelIsATarget(name: String) throws {
    #expect(try LoRATarget.parse(list: name, isTied: false) == [.tokenEmbd])
  }

  @Test func tensorNamesGoBothWays() throws {
    let (block, target) = try #require(LoRATarget.parse(tensorName: "blk.12.ffn_up.weight"))
    #expect(block == 12 && target == .ffnUp)
    #expect(target.tensorName(block: 12) == "blk.12.ffn_up.weight")
    let head = try #require(LoRATarget.parse(tensorName: "output.weight"))
    #expect(head.block == nil && head.target == .output)
    let embedding = try #require(LoRATarget.parse(tensorName: "token_embd.weight"))
    #expect(embedding.block == nil && embedding.target == .tokenEmbd)
    for name in [
      "blk.0.token_embd.weight", "blk.+1.ffn_up.weight", "blk.01.ffn_up.weight", "blk.1.ffn_up",
      "blk.1.ffn_norm.weight", "output", "blk.0.output.weight", "output_norm.weight",
    ] {
      #expect(LoRATarget.parse(tensorName: name) == nil)
    }
  }
}
