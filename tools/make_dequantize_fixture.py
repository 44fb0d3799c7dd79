"""Makes Tests/Fixtures/dequantize.json: blocks of every format and their values by the `gguf` package (0.19).

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
}
# Normal, one, negative, zero, smallest denormal, largest denormal, largest, infinity.
SCALES = [0x2E66, 0x3C00, 0xAC10, 0x0000, 0x0001, 0x03FF, 0x7BFF, 0x7C00]


def blocks_of(name, rng):
    values, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = 64 if values == 1 else len(SCALES) + 2
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if values > 1:
        blocks[-2, :] = 255
        blocks[-1, :] = 0
        for i in range(count):
            for field, offset in enumerate(HALVES[name]):  # scale and minimum differ
                scale = np.array([SCALES[(i + field) % len(SCALES)]], dtype="<u2")
                blocks[i, offset : offset + 2] = scale.view(np.uint8)
    return blocks


def main():
    rng = np.random.default_rng(SEED)
    formats = {}
    for name in HALVES:
        blocks = blocks_of(name, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # infinite scales are part of the fixture
            values = quants.dequantize(blocks.reshape(-1), GGMLQuantizationType[name]).astype("<f4")
        formats[name] = {
            "blocks": base64.b64encode(blocks.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    maker = "tools/make_dequantize_fixture.py with gguf 0.19.0"
    print(json.dumps({"maker": maker, "seed": SEED, "formats": formats}, indent=1))


main()
