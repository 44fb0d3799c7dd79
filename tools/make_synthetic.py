#!/usr/bin/env python3
"""Makes model files to measure speed with: the shapes of LLaMA 3.2 1B and LLaMA 3 8B with random weights from a seed, and
SmolLM2 in other formats. Their answers mean nothing; their time and memory are those of the real models.

A file is written in F16 tensor by tensor (never whole in memory), then quantised by llama.cpp's own llama-quantize, so
that every format is exactly what users have. Files that exist are kept. Run by `make weights-synthetic`, after
tools/build_peers.sh has made peers/ (Python, llama-quantize, the Llama 3 vocabulary).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
QUANTIZE = ROOT / "peers/bin/llama-quantize"
VOCABULARY = ROOT / "peers/vocabulary.gguf"
SEED = 20260101
BLOCK = 1 << 26  # random values drawn once; every tensor is put together from pieces of them
SPREAD = 0.02  # standard deviation of the weights, about what training leaves

# name: blocks, D, F, query heads, key/value heads, E, tied; formats to keep
SHAPES = {
    "llama-3.2-1b-shape": (16, 2048, 8192, 32, 8, 64, True, ["Q4_K_M", "Q8_0", "F16"]),
    "llama-3-8b-shape": (32, 4096, 14336, 32, 8, 128, False, ["Q4_K_M", "Q8_0"]),
}
SMALL = ("SmolLM2-135M-Instruct", "Q4_1", ["Q8_0", "F16"])


def tensors(shape, vocabulary):
    """Name and [rows, columns] (norms: [columns]) of every tensor, in the order of the file."""
    blocks, dim, feed_forward, heads, kv_heads, width, tied, _ = shape
    yield "token_embd.weight", (vocabulary, dim)
    for block in range(blocks):
        prefix = f"blk.{block}."
        yield prefix + "attn_norm.weight", (dim,)
        yield prefix + "attn_q.weight", (heads * width, dim)
        yield prefix + "attn_k.weight", (kv_heads * width, dim)
        yield prefix + "attn_v.weight", (kv_heads * width, dim)
        yield prefix + "attn_output.weight", (dim, heads * width)
        yield prefix + "ffn_norm.weight", (dim,)
        yield prefix + "ffn_gate.weight", (feed_forward, dim)
        yield prefix + "ffn_up.weight", (feed_forward, dim)
        yield prefix + "ffn_down.weight", (dim, feed_forward)
    yield "output_norm.weight", (dim,)
    if not tied:
        yield "output.weight", (vocabulary, dim)


def pieces(random, block, count):
    """`count` values, as slices of the block at random offsets."""
    while count > 0:
        take = min(count, block.size // 2)
        start = random.integers(0, block.size - take)
        yield block[start : start + take]
        count -= take


def write_f16(path, name, shape):
    blocks, dim, feed_forward, heads, kv_heads, width, _, _ = shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_block_count(blocks)
    writer.add_context_length(8192)
    writer.add_embedding_length(dim)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(500_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    for field in gguf.GGUFReader(VOCABULARY).fields.values():
        if field.name.startswith("tokenizer."):
            element = field.types[1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=element)
            if field.name == "tokenizer.ggml.tokens":
                vocabulary = len(field.data)
    writer.add_vocab_size(vocabulary)

    listed = list(tensors(shape, vocabulary))
    for tensor, size in listed:
        dtype = np.dtype(np.float32 if len(size) == 1 else np.float16)
        writer.add_tensor_info(tensor, size, dtype, int(np.prod(size)) * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()

    random = np.random.default_rng(SEED)
    block = (random.standard_normal(BLOCK, dtype=np.float32) * SPREAD).astype(np.float16)
    for tensor, size in listed:
        if len(size) == 1:
            values = 1 + random.standard_normal(size, dtype=np.float32) * np.float32(SPREAD)
        else:
            values = np.concatenate(list(pieces(random, block, int(np.prod(size))))).reshape(size)
        writer.write_tensor_data(values)
    writer.close()


def quantize(source, target, format):
    """Writes beside the target and renames, so that a file with its final name is whole."""
    part = target.with_name(target.name + ".part")
    command = [QUANTIZE, "--allow-requantize", source, part, format]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0:
        sys.exit(f"make_synthetic: llama-quantize failed for {target.name}:\n{run.stdout[-2000:]}")
    os.rename(part, target)
    print(f"made {target.name}: {target.stat().st_size / 1e9:.2f} GB", flush=True)


def make(folder, name):
    formats = SHAPES[name][-1]
    missing = [format for format in formats if not (folder / f"{name}.{format}.gguf").exists()]
    if not missing:
        return
    whole = folder / f"{name}.F16.gguf"
    if not whole.exists():
        part = whole.with_name(whole.name + ".part")
        write_f16(part, name, SHAPES[name])
        os.rename(part, whole)
        print(f"made {whole.name}: {whole.stat().st_size / 1e9:.2f} GB", flush=True)
    for format in missing:
        if format != "F16":
            quantize(whole, folder / f"{name}.{format}.gguf", format)
    if "F16" not in formats:
        whole.unlink()


def make_small(folder):
    name, held, formats = SMALL
    for format in formats:
        target = folder / f"{name}.{format}.gguf"
        if not target.exists():
            quantize(folder / f"{name}.{held}.gguf", target, format)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [SMALL[0], *SHAPES]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"only these: {', '.join(names)}")
    parser.add_argument("--folder", type=Path, default=ROOT / "weights")
    options = parser.parse_args()
    unknown = set(options.models) - set(names)
    if unknown:
        parser.error(f"no model is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for tool in (QUANTIZE, VOCABULARY):
        if not tool.exists():
            sys.exit(f"make_synthetic: {tool} is missing; run tools/build_peers.sh first")
    for name in options.models or names:
        make_small(options.folder) if name == SMALL[0] else make(options.folder, name)


if __name__ == "__main__":
    main()
