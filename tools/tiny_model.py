"""The random numbers and the tensors of the tests' tiny models (Tests/TestSupport/TinyModel.swift), once more.

So a maker of fixtures can give the same weights to another program, and no model file need be kept. Needs numpy.
"""

import math

import numpy as np

MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def key(text):
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


class Seeded:
    """The stream of a seed and a name."""

    def __init__(self, seed, name):
        state = mix((seed + STEP) & MASK)
        state = (mix(state ^ mix((key(name) + STEP) & MASK)) + STEP) & MASK
        self.first, self.second = state, mix(~state & MASK)

    def uniform(self, counter):
        bits = mix(mix((self.first + counter * STEP) & MASK) ^ self.second)
        return (bits >> 11) * 2.0**-53

    def normals(self, count, deviation):
        """Box and Muller's transform, rounded to float32 as the tests do."""
        out = np.empty(count, np.float32)
        for i in range(count):
            radius = math.sqrt(-2 * math.log(1 - self.uniform(2 * i)))
            out[i] = np.float32(radius * math.cos(2 * math.pi * self.uniform(2 * i + 1)))
        return np.float32(deviation) * out


class TinyModel:
    """The sizes that all cases of the fixture share, and what a case may change."""

    def __init__(self, *, head_width=16, tied=True, biased=(), norms_heads=False):
        self.width, self.blocks, self.heads, self.kv_heads, self.feed_forward = 64, 3, 4, 2, 128
        self.vocabulary, self.seed, self.epsilon = 259, 7, 1e-5
        self.head_width, self.tied, self.biased, self.norms_heads = head_width, tied, biased, norms_heads

    def tensors(self):
        """GGUF name -> float32, [rows, columns] or [columns]."""
        d, e, f = self.width, self.head_width, self.feed_forward
        queries, keys = self.heads * e, self.kv_heads * e
        shapes = {
            "attn_q": (queries, d), "attn_k": (keys, d), "attn_v": (keys, d), "attn_output": (d, queries),
            "ffn_gate": (f, d), "ffn_up": (f, d), "ffn_down": (d, f),
        }  # fmt: skip
        out = {"token_embd.weight": self.matrix("token_embd.weight", self.vocabulary, d)}
        for block in range(self.blocks):
            for layer, (rows, columns) in shapes.items():
                name = f"blk.{block}.{layer}"
                out[f"{name}.weight"] = self.matrix(f"{name}.weight", rows, columns)
                if layer in self.biased:
                    out[f"{name}.bias"] = Seeded(self.seed, f"{name}.bias").normals(rows, 0.3)
            norms = {"attn_norm": d, "ffn_norm": d}
            if self.norms_heads:
                norms |= {"attn_q_norm": e, "attn_k_norm": e}
            for norm, width in norms.items():
                out[f"blk.{block}.{norm}.weight"] = self.norm(f"blk.{block}.{norm}.weight", width)
        out["output_norm.weight"] = self.norm("output_norm.weight", d)
        if not self.tied:
            out["output.weight"] = self.matrix("output.weight", self.vocabulary, d)
        return out

    def matrix(self, name, rows, columns):
        deviation = np.sqrt(np.float32(2) / np.float32(self.width))
        return Seeded(self.seed, name).normals(rows * columns, deviation).reshape(rows, columns)

    def norm(self, name, width):
        return np.float32(1) + Seeded(self.seed, name).normals(width, 0.1)

    def rope_factors(self, last):
        """From 1 to `last` in even steps, one a pair."""
        count = self.head_width // 2
        steps = np.arange(count, dtype=np.float32) / np.float32(max(count - 1, 1))
        return (np.float32(1) + np.float32(last - 1) * steps).tolist()
