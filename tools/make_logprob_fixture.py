"""Makes Tests/Fixtures/logprobs-*.json: what float64 arithmetic says about a page of prose, for each small model.

    python3 tools/make_logprob_fixture.py [large]

With `large`, of the large model only (make weights-large): the first 128 tokens. The tests compare Parley's log-probs with it (promise 2: 4e-4 nats in the mean, 5e-3 at most). The ids
are stored, so no test needs a tokenizer. Needs numpy and tokenizers, and the models (make weights).
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from reference import Llama, logsumexp, next_logps

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = {
    "logprobs-smollm2.json": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "logprobs-smollm2-q8_0.json": "SmolLM2-135M-requantised.Q8_0.gguf",
    "logprobs-smollm2-q4_k_m.json": "SmolLM2-135M-requantised.Q4_K_M.gguf",
}
LARGE = {"logprobs-qwen2.5-coder.json": "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf"}
LARGE_TOKENS = 128
POSITIONS = [0, 1, 63, 64, 128, 255, 269]  # the start, around page boundaries of the cache, the end
DECIMALS = 10

PROSE = """\
The ferry left the island a little before six, when the harbour was still grey and the gulls had only begun \
to argue over the nets. Mara stood at the rail with a paper cup of tea and watched the village shrink until \
it was a row of small white teeth at the edge of the water. She had lived there for eleven years, long enough \
to know which chimney belonged to whom, and she found that she was counting them without meaning to.

"You will be back by spring," said the captain, who had come out to check a rope. He said it the way people \
talk about the weather, as a fact that needs no help from anyone.

"Perhaps," she answered. In her bag were two shirts, a dictionary, and the letter that had started everything. \
It was only a page long. It offered her a room above a printing shop, a small wage, and the chance to learn \
how old books are taken apart, cleaned, and sewn together again. She had read it so often that the folds were \
beginning to tear.

By noon the wind had turned and the sea lay flat and bright as a tray. A child on the lower deck was teaching \
her brother to whistle through a blade of grass, and the sound, thin and stubborn, followed them all the way \
to the mainland.
"""


# Qwen 2's split: contractions, letters behind one other character, single digits, and the rest.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def splits(name):
    """The two steps of a pre-tokenizer."""
    if name == "smollm":  # digits apart, then GPT-2's pattern
        return [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if name == "qwen2":
        split = pre_tokenizers.Split(Regex(QWEN2), "isolated")
        return [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    raise ValueError(f"this maker does not know the pre-tokenizer '{name}'")


def tokenizer(metadata):
    """The file's byte-level BPE with the pre-tokenizer it names."""
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(splits(metadata["tokenizer.ggml.pre"]))
    bpe.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, metadata["tokenizer.ggml.token_type"]) if kind == 3]
    bpe.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    return bpe


def sample_of(logits):
    """The ten likeliest ids and ten spread evenly over the vocabulary, with their logits."""
    likeliest = np.argsort(-logits, kind="stable")[:10]
    spread = np.arange(10) * len(logits) // 10
    ids = np.concatenate([likeliest, spread])
    return {"ids": ids.tolist(), "logits": np.round(logits[ids], DECIMALS).tolist()}


def make(name, weights, limit=None):
    path = ROOT / "weights" / weights
    model = Llama(path)
    ids = tokenizer(model.file.metadata).encode(PROSE, add_special_tokens=False).ids[:limit]
    logits = model.logits(ids)
    logps = next_logps(logits, ids)
    totals = logsumexp(logits)
    fixture = {
        "maker": "tools/make_logprob_fixture.py",
        "model": weights,
        "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "text": PROSE,
        "ids": ids,
        "logps": np.round(logps, DECIMALS).tolist(),
        "positions": [
            {"position": t, "logsumexp": round(float(totals[t]), DECIMALS), **sample_of(logits[t])}
            for t in POSITIONS
            if t < len(ids)
        ],
    }
    target = ROOT / "Tests/Fixtures" / name
    target.write_text(json.dumps(fixture, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    perplexity = np.exp(-logps.mean())
    print(f"{target.relative_to(ROOT)}: {len(ids)} tokens, perplexity {perplexity:.2f}.")


def main():
    if sys.argv[1:] == ["large"]:
        for name, weights in LARGE.items():
            make(name, weights, LARGE_TOKENS)
        return
    for name, weights in MODELS.items():
        make(name, weights)


if __name__ == "__main__":
    main()
