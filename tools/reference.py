"""A GGUF model of the LLaMA or Qwen family in float64: the exact answer the fast code is compared with.

Plain numpy, one block after the other, no cache. Letters as everywhere: T tokens, D width, H query
heads, K key/value heads, E head width, F feed-forward width, V vocabulary.

    python3 tools/reference.py MODEL IDS.json    log-prob of each next token, as JSON on stdout

IDS.json holds a list of token ids. Needs numpy.
"""

import json
import sys

import numpy as np

from gguf_file import GGUFFile


class Llama:
    def __init__(self, path):
        self.file = GGUFFile(path)
        name = self.file.metadata["general.architecture"]
        if name not in ("llama", "qwen2", "qwen3"):
            raise ValueError(f"{path} is a {name} model, not llama, qwen2 or qwen3")
        # Keys without the architecture's prefix.
        meta = {key.removeprefix(f"{name}."): value for key, value in self.file.metadata.items()}
        if meta.get("rope.scaling.type", "none") != "none":
            raise ValueError(f"{path} asks for RoPE scaling, which this reference does not have")
        self.turns_halves = name != "llama"
        self.blocks = meta["block_count"]
        self.heads = meta["attention.head_count"]
        self.kv_heads = meta.get("attention.head_count_kv", self.heads)
        width = meta["embedding_length"]
        self.head_width = meta.get("attention.key_length", width // self.heads)
        self.rotated = meta.get("rope.dimension_count", self.head_width)
        self.base = meta.get("rope.freq_base", 10000.0)
        self.epsilon = meta["attention.layer_norm_rms_epsilon"]

    def weight(self, name):
        return self.file.tensor(f"{name}.weight")

    def logits(self, ids):
        """[T, V]: row t holds the logits of the token that follows ids[0...t]."""
        embedding = self.weight("token_embd")
        x = embedding[ids]
        turn = self.rotation(len(ids))
        for block in range(self.blocks):
            x = x + self.attention(f"blk.{block}", x, turn)
            x = x + self.feed_forward(f"blk.{block}", x)
        x = self.norm(x, "output_norm")
        head = self.weight("output") if "output.weight" in self.file.tensors else embedding
        return x @ head.T

    def norm(self, x, name):
        scale = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        return x * scale * self.weight(name)

    def rotation(self, count):
        """[T, 1, rotated / 2] complex: the turn of each adjacent pair at each position."""
        frequency = self.base ** (-np.arange(0, self.rotated, 2) / self.rotated)
        if "rope_freqs.weight" in self.file.tensors:
            frequency = frequency / self.weight("rope_freqs")
        return np.exp(1j * np.arange(count)[:, None] * frequency)[:, None, :]

    def rotate(self, x, turn):
        """x [T, heads, E]. A pair is one complex number: (x[2i], x[2i + 1]), or (x[i], x[i + E/2]) for Qwen."""
        half = self.rotated // 2
        one, other = slice(0, self.rotated, 2), slice(1, self.rotated, 2)
        if self.turns_halves:
            one, other = slice(0, half), slice(half, self.rotated)
        pairs = (x[..., one] + 1j * x[..., other]) * turn
        out = x.copy()
        out[..., one] = pairs.real
        out[..., other] = pairs.imag
        return out

    def linear(self, x, name):
        """[T, heads, E] of q, k or v: the product, a bias where there is one, and the norm of each head likewise."""
        y = x @ self.weight(name).T
        if f"{name}.bias" in self.file.tensors:
            y = y + self.file.tensor(f"{name}.bias")
        y = y.reshape(len(x), -1, self.head_width)
        return self.norm(y, f"{name}_norm") if f"{name}_norm.weight" in self.file.tensors else y

    def attention(self, block, x, turn):
        count = len(x)
        h = self.norm(x, f"{block}.attn_norm")
        q, k, v = (self.linear(h, f"{block}.attn_{letter}") for letter in "qkv")
        q, k = self.rotate(q, turn), self.rotate(k, turn)
        future = np.triu(np.full((count, count), -np.inf), 1)
        out = np.empty((count, self.heads, v.shape[-1]))
        for head in range(self.heads):
            shared = head * self.kv_heads // self.heads
            scores = q[:, head] @ k[:, shared].T / np.sqrt(self.head_width) + future
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out[:, head] = weights @ v[:, shared] / weights.sum(axis=-1, keepdims=True)
        return out.reshape(count, -1) @ self.weight(f"{block}.attn_output").T

    def feed_forward(self, block, x):
        h = self.norm(x, f"{block}.ffn_norm")
        gate = h @ self.weight(f"{block}.ffn_gate").T
        up = h @ self.weight(f"{block}.ffn_up").T
        return (gate / (1 + np.exp(-gate)) * up) @ self.weight(f"{block}.ffn_down").T


def logsumexp(logits):
    """[T, V] -> [T]."""
    top = logits.max(axis=-1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=-1))


def next_logps(logits, ids):
    """[T - 1]: log-prob, in nats, of ids[t + 1] after ids[0...t]."""
    rows = np.arange(len(ids) - 1)
    return logits[rows, ids[1:]] - logsumexp(logits[:-1])


def main(arguments):
    if len(arguments) != 2:
        print("usage: python3 tools/reference.py MODEL IDS.json", file=sys.stderr)
        return 64
    with open(arguments[1], encoding="utf-8") as file:
        ids = json.load(file)
    logps = next_logps(Llama(arguments[0]).logits(ids), ids)
    print(json.dumps({"ids": ids, "logps": logps.tolist(), "sum": float(logps.sum())}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
