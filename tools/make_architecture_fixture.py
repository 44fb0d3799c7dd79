"""Makes Tests/Fixtures/logprobs-architectures.json: what transformers says about tiny models of each architecture.

    python3 tools/make_architecture_fixture.py

The tests make the same models (tools/tiny_model.py has their random numbers) and compare log-probs. transformers computes
in float64 but for norms, angles and their frequencies, which it keeps in float32. Needs numpy, torch and transformers 5.24.
"""

import json
import pathlib

import torch
import transformers

from tiny_model import TinyModel

TARGET = pathlib.Path(__file__).resolve().parent.parent / "Tests/Fixtures/logprobs-architectures.json"
IDS = [(37 * i * i + 11 * i + 5) % 259 for i in range(60)]
ALL_LAYERS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")

# Hugging Face's names for GGUF's.
LAYERS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
}  # fmt: skip
ENDS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hf_name(name):
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYERS[parts[2]]}.{parts[3]}"
    return f"{ENDS[parts[0]]}.{parts[1]}"


def hf_order(rows, head_width):
    """GGUF has the halves of a head interleaved in some architectures: hf[j·E/2 + i] = gguf[2i + j]."""
    pairs = rows.reshape(-1, head_width // 2, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def log_probs(tiny, config, permuted):
    shared = {
        "hidden_size": tiny.width, "intermediate_size": tiny.feed_forward, "num_hidden_layers": tiny.blocks,
        "num_attention_heads": tiny.heads, "num_key_value_heads": tiny.kv_heads, "head_dim": tiny.head_width,
        "vocab_size": tiny.vocabulary, "rms_norm_eps": tiny.epsilon, "tie_word_embeddings": tiny.tied,
        "max_position_embeddings": 256, "attn_implementation": "eager",
    }  # fmt: skip
    kind, own = config
    own["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0} | own.get("rope_parameters", {})
    made = getattr(transformers, f"{kind}Config")(**shared | own)
    model = getattr(transformers, f"{kind}ForCausalLM")(made).double().eval()
    weights = {}
    for name, values in tiny.tensors().items():
        if permuted and (".attn_q." in name or ".attn_k." in name):
            values = hf_order(values, tiny.head_width)
        weights[hf_name(name)] = torch.from_numpy(values.copy()).double()
    if tiny.tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    ids = torch.tensor([IDS])
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0]
    return torch.log_softmax(logits.double(), -1)[:-1].gather(1, ids[0, 1:, None])[:, 0].tolist()


def cases():
    yield "qwen2", TinyModel(biased=ALL_LAYERS[:3]), ("Qwen2", {}), False
    linear = {"rope_type": "linear", "factor": 4.0}
    qwen3 = TinyModel(head_width=24, tied=False, norms_heads=True)
    yield "qwen3", qwen3, ("Qwen3", {"rope_parameters": linear}), False
    scales = {
        "attention_multiplier": 0.4, "embedding_multiplier": 3.0, "residual_multiplier": 0.7, "logits_scaling": 1.25,
        "attention_bias": True, "mlp_bias": True,
    }  # fmt: skip
    yield "granite", TinyModel(tied=False, biased=ALL_LAYERS), ("Granite", scales), True
    yarn = {
        "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 1.5, "beta_slow": 0.1,
        "mscale": 1.0, "mscale_all_dim": 0.5, "llama_4_scaling_beta": 0.3,
    }  # fmt: skip
    yield "mistral3", TinyModel(), ("Ministral3", {"rope_parameters": yarn, "sliding_window": 20}), True
    long = TinyModel()
    longrope = {
        "rope_type": "longrope", "original_max_position_embeddings": 32, "attention_factor": 1.2, "factor": 8.0,
        "short_factor": long.rope_factors(2), "long_factor": long.rope_factors(16),
    }  # fmt: skip
    yield "longrope", long, ("Llama", {"rope_parameters": longrope}), True


def main():
    fixture = {"maker": "tools/make_architecture_fixture.py", "transformers": transformers.__version__, "ids": IDS}
    fixture["cases"] = {name: log_probs(tiny, config, permuted) for name, tiny, config, permuted in cases()}
    TARGET.write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {', '.join(fixture['cases'])}.")


if __name__ == "__main__":
    main()
