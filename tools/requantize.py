"""Makes a small GGUF model of other weight formats from one that is there: same bytes on every machine.

    python3 tools/requantize.py RECIPE SOURCE TARGET

A recipe names the format of each matrix, as llama-quantize chooses it: `Q8_0` is Q8_0 throughout, `Q4_K_M` mixes Q4_K and
Q6_K where rows are whole blocks of 256, Q5_0 and Q8_0 elsewhere. Encoders take each block by itself and only add, multiply,
divide and round float64 one by one, so a SHA-256 can be pinned in weights/MANIFEST. They are plain, without llama-quantize's
search for better scales: the files are for tests of arithmetic, not for use. Run by `make weights`; needs numpy.
"""

import struct
import sys

import numpy as np

from gguf_file import FORMATS, GGUFFile

NAMES = {name: kind for kind, (name, _, _) in FORMATS.items()}
FILE_TYPES = {"Q8_0": 7, "Q4_K_M": 15}  # value of general.file_type
ALIGNMENT = 32
VALUES = 1 << 22  # encoded at a time, 32 MB of float64


# ---- Encoders: [blocks, values per block] of float64 -> [blocks, bytes per block] of uint8 ----


def half(column):
    """[n, 1] as two bytes, and the value that these hold."""
    stored = column.astype("<f2")
    return stored.view(np.uint8), stored.astype(np.float64)


def steps(x, size, low, high):
    """x / size to the nearest integer within low...high; 0 where the size is."""
    return np.clip(np.rint(np.divide(x, size, out=np.zeros_like(x), where=size != 0)), low, high)


def nibbles(q):
    """[n, 32 or 64] of 4-bit numbers: the first half in the low nibbles, the second in the high ones."""
    q = q.astype(np.uint8)
    middle = q.shape[-1] // 2
    return q[..., :middle] & 15 | (q[..., middle:] & 15) << 4


def largest(x):
    """The value of greatest magnitude in each row, with its sign."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=-1, keepdims=True), axis=-1)


def q8_0(x):
    scale, _ = half(np.abs(x).max(axis=1, keepdims=True) / 127)
    # As llama-quantize: the quants fit the scale before it is rounded.
    q = steps(x, np.abs(x).max(axis=1, keepdims=True) / 127, -127, 127)
    return np.concatenate([scale, q.astype(np.int8).view(np.uint8)], axis=1)


def q5_0(x):
    scale, d = half(largest(x) / -16)
    q = (steps(x, d, -16, 15) + 16).astype(np.uint8)
    return np.concatenate([scale, np.packbits(q >> 4, axis=1, bitorder="little"), nibbles(q)], axis=1)


def q4_k(x):
    """Eight groups of 32: x = d·s·q − m·t, with s and t of 6 bits and q of 4."""
    x = x.reshape(len(x), 8, 32)
    low = -np.minimum(x.min(axis=2), 0)
    span = (np.maximum(x.max(axis=2), -low) + low) / 15
    scale, d = half(span.max(axis=1, keepdims=True) / 63)
    minimum, m = half(low.max(axis=1, keepdims=True) / 63)
    s, t = steps(span, d, 0, 63), steps(low, m, 0, 63)
    q = steps(x + (m * t)[:, :, None], (d * s)[:, :, None], 0, 15)
    s, t = s.astype(np.uint8), t.astype(np.uint8)
    packed = [s[:, :4] | s[:, 4:] >> 4 << 6, t[:, :4] | t[:, 4:] >> 4 << 6, s[:, 4:] & 15 | (t[:, 4:] & 15) << 4]
    quants = nibbles(q.reshape(len(q), 4, 64)).reshape(len(q), 128)
    return np.concatenate([scale, minimum, *packed, quants], axis=1)


def q6_k(x):
    """Sixteen groups of 16: x = d·s·(q − 32), with s of 8 bits and q of 6."""
    x = x.reshape(len(x), 16, 16)
    span = largest(x)[:, :, 0] / -32
    scale, d = half(largest(span) / -128)
    s = steps(span, d, -128, 127)
    q = (steps(x, (d * s)[:, :, None], -32, 31) + 32).astype(np.uint8)
    # Two halves of 128, each four rows of 32: low nibbles of rows 0 and 2, 1 and 3 share bytes, as do the four high pairs.
    q = q.reshape(len(q), 2, 4, 32)
    four = q[:, :, 0:2] & 15 | (q[:, :, 2:4] & 15) << 4
    two = q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6
    parts = [four.reshape(len(q), 128), two.reshape(len(q), 64), s.astype(np.int8).view(np.uint8), scale]
    return np.concatenate(parts, axis=1)


ENCODERS = {"Q8_0": q8_0, "Q5_0": q5_0, "Q4_K": q4_k, "Q6_K": q6_k}


# ---- Recipes ----


def is_finer(block, blocks):
    """The first and the last eighth of the blocks, and every third between."""
    return block < blocks // 8 or block >= 7 * blocks // 8 or (block - blocks // 8) % 3 == 2


def chosen(recipe, name, shape, blocks):
    """The format of a matrix; None keeps the tensor as it is."""
    if len(shape) == 1:
        return None
    if recipe == "Q8_0" or name == "token_embd.weight":
        return "Q8_0"
    _, block, kind, _ = name.split(".")
    finer = kind in ("attn_v", "ffn_down") and is_finer(int(block), blocks)
    if shape[0] % 256 == 0:
        return "Q6_K" if finer else "Q4_K"
    return "Q8_0" if finer else "Q5_0"


def encoded(source, name, target):
    """The bytes of a tensor in the format `target`, a few million values at a time."""
    if target is None or FORMATS[source.tensors[name][1]][0] == target:
        yield source.stored(name)
        return
    values = source.tensor(name).reshape(-1, FORMATS[NAMES[target]][1])
    rows = VALUES // values.shape[1]
    for start in range(0, len(values), rows):
        yield ENCODERS[target](values[start : start + rows]).tobytes()


# ---- The file ----


def padding(size):
    return bytes(-size % ALIGNMENT)


def write(recipe, source, file):
    blocks = source.metadata["llama.block_count"]
    formats = {name: chosen(recipe, name, shape, blocks) for name, (shape, _, _) in source.tensors.items()}
    kinds = {name: NAMES[target] if target else source.tensors[name][1] for name, target in formats.items()}

    before = struct.pack("<Q", 17) + b"general.file_type" + struct.pack("<I", 4)
    pairs = source.bytes[: source.pairs_end]
    old = before + struct.pack("<I", source.metadata["general.file_type"])
    header = pairs.replace(old, before + struct.pack("<I", FILE_TYPES[recipe]))

    offset = 0
    for name, (shape, _, _) in source.tensors.items():
        text = name.encode("utf-8")
        header += struct.pack("<Q", len(text)) + text + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        header += struct.pack("<IQ", kinds[name], offset)
        _, values, size = FORMATS[kinds[name]]
        length = int(np.prod(shape)) // values * size
        offset += length + len(padding(length))
    file.write(header + padding(len(header)))
    for name, target in formats.items():
        for chunk in encoded(source, name, target):
            file.write(chunk)
        file.write(padding(file.tell()))


def main(arguments):
    if len(arguments) != 3 or arguments[0] not in FILE_TYPES:
        print(f"usage: python3 tools/requantize.py {'|'.join(FILE_TYPES)} SOURCE TARGET", file=sys.stderr)
        return 64
    recipe, source, target = arguments
    with open(target, "wb") as file:
        write(recipe, GGUFFile(source), file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
