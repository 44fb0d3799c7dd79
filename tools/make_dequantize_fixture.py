"""Makes Tests/Fixtures/dequantize.json: blocks of every format and their values by the `gguf` package (0.19).

The package has no Q1_0 and Q2_0: these are below, from the format's description.

Usage: python tools/make_dequantize_fixture.py > Tests/Fixtures/dequantize.json
"""

import base64
import json
import warnings

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

SEED = 20240
# Byte offsets of the float16 fields in a block.
HALVES = {
    "F32": [], "F16": [], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208],
    "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q5_K": [0, 2],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ3_XXS": [0], "IQ1_S": [0], "IQ4_NL": [0], "IQ3_S": [0], "IQ2_S": [0], "IQ4_XS": [0],
    "IQ1_M": [], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [], "NVFP4": [], "Q1_0": [0], "Q2_0": [0],
}  # fmt: skip
# Normal, one, negative, zero, smallest denormal, largest denormal, largest, infinity.
SCALES = [0x2E66, 0x3C00, 0xAC10, 0x0000, 0x0001, 0x03FF, 0x7BFF, 0x7C00]
EXPONENTS = [127, 0, 1, 2, 128, 250, 254, 255]  # of MXFP4
SMALL_FLOATS = [0x38, 0x00, 0x01, 0x07, 0x08, 0x7E, 0x7F, 0xFF]  # of NVFP4
# Values and bytes of a block of the formats that the package has not.
ABSENT = {"Q1_0": (128, 18), "Q2_0": (64, 18)}


def put_half(name, block, field, bits):
    """A float16 into a block: IQ1_M has it in the upper nibbles of four 16-bit words."""
    if name == "IQ1_M":
        for word in range(4):
            block[49 + 2 * word] = block[49 + 2 * word] & 15 | (bits >> 4 * word & 15) << 4
    else:
        block[HALVES[name][field] : HALVES[name][field] + 2] = np.array([bits], dtype="<u2").view(np.uint8)


def blocks_of(name, rng):
    values, size = ABSENT[name] if name in ABSENT else GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = 64 if values == 1 else len(SCALES) + 2
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if values > 1:
        blocks[-2, :] = 255
        blocks[-1, :] = 0
        for i in range(count):
            for field in range(1 if name == "IQ1_M" else len(HALVES[name])):  # scale and minimum differ
                put_half(name, blocks[i], field, SCALES[(i + field) % len(SCALES)])
            if name == "MXFP4":
                blocks[i, 0] = EXPONENTS[i % len(EXPONENTS)]
            if name == "NVFP4":
                blocks[i, 0:4] = [SMALL_FLOATS[(i + group) % len(SMALL_FLOATS)] for group in range(4)]
    return blocks


def values_of(name, blocks):
    if name not in ABSENT:
        return quants.dequantize(blocks.reshape(-1), GGMLQuantizationType[name]).astype("<f4")
    d = blocks[:, 0:2].copy().view("<f2").astype("<f4")
    if name == "Q1_0":
        bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
        return (d * (2 * bits.astype(np.float32) - 1)).astype("<f4")
    pairs = blocks[:, 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8) & 3
    return (d * (pairs.reshape(len(blocks), -1).astype(np.float32) - 1)).astype("<f4")


def main():
    rng = np.random.default_rng(SEED)
    formats = {}
    for name in HALVES:
        blocks = blocks_of(name, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # infinite scales are part of the fixture
            values = values_of(name, blocks)
        formats[name] = {
            "blocks": base64.b64encode(blocks.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    maker = "tools/make_dequantize_fixture.py with gguf 0.19.0"
    print(json.dumps({"maker": maker, "seed": SEED, "formats": formats}, indent=1))


main()
