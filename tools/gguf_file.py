"""Reads GGUF files for the float64 reference: metadata, and tensors as exact float64 values.

Written from the format's description, sharing nothing with Sources/GGUF, so that each can judge the
other. A stored weight is a small integer times a half-precision scale, so float64 holds it exactly.
Trusts its input: for our own tools on verified files, not for files from outside. Needs numpy.
"""

import mmap
import struct

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9

# Type id: name, values per block, bytes per block.
FORMATS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    30: ("BF16", 1, 2),
}


class GGUFFile:
    """A mapped file. `metadata` is a dict; `tensor(name)` gives float64 of shape [rows, columns]."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.at = 0
        magic, version, tensor_count, pair_count = self._take("<4sIQQ")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"{path} is not a GGUF file of version 2 or 3")
        self.metadata = {}
        for _ in range(pair_count):
            key = self._string()
            self.metadata[key] = self._value(self._take("<I")[0])
        self.pairs_end = self.at
        self.tensors = {}
        for _ in range(tensor_count):
            name = self._string()
            shape = self._take(f"<{self._take('<I')[0]}Q")
            kind, offset = self._take("<IQ")
            self.tensors[name] = (shape, kind, offset)
        alignment = self.metadata.get("general.alignment", 32)
        self.data = -(-self.at // alignment) * alignment

    def _take(self, layout):
        values = struct.unpack_from(layout, self.bytes, self.at)
        self.at += struct.calcsize(layout)
        return values

    def _string(self):
        (length,) = self._take("<Q")
        self.at += length
        return self.bytes[self.at - length : self.at].decode("utf-8")

    def _value(self, kind):
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            element, count = self._take("<IQ")
            if element in SCALARS:
                return list(self._take(f"<{count}{SCALARS[element]}"))
            return [self._value(element) for _ in range(count)]
        return self._take("<" + SCALARS[kind])[0]

    def stored(self, name):
        """The bytes of a tensor as they are in the file."""
        shape, kind, offset = self.tensors[name]
        if kind not in FORMATS:
            raise ValueError(f"tensor {name} has type id {kind}, which this reader does not know")
        _, values, size = FORMATS[kind]
        start = self.data + offset
        return self.bytes[start : start + int(np.prod(shape)) // values * size]

    def tensor(self, name):
        """The exact values of a tensor, float64, slowest dimension first."""
        raw = np.frombuffer(self.stored(name), np.uint8)
        shape, kind, _ = self.tensors[name]
        format_name, _, size = FORMATS[kind]
        return dequantise(format_name, raw.reshape(-1, size)).reshape(shape[::-1])


def dequantise(format_name, blocks):
    """`blocks` is [blocks, bytes per block] of uint8; returns [blocks, values per block], float64."""
    return DEQUANTISERS[format_name](blocks)


def half(columns):
    """Two bytes a row as a float16 column: [n, 2] -> [n, 1]."""
    return np.ascontiguousarray(columns).view("<f2").astype(np.float64)


def nibbles(bytes_):
    """All low nibbles, then all high ones, along the last axis."""
    return np.concatenate([bytes_ & 15, bytes_ >> 4], axis=-1).astype(np.float64)


def f32(b):
    return b.view("<f4").astype(np.float64)


def f16(b):
    return b.view("<f2").astype(np.float64)


def bf16(b):
    return (b.view("<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def q4_0(b):
    return half(b[:, 0:2]) * (nibbles(b[:, 2:]) - 8)


def q4_1(b):
    return half(b[:, 0:2]) * nibbles(b[:, 4:]) + half(b[:, 2:4])


def bits_of_32(b):
    """[n, 4] -> [n, 32]: bit j of the 32, lowest first."""
    return np.unpackbits(np.ascontiguousarray(b), axis=-1, bitorder="little").astype(np.float64)


def q5_0(b):
    return half(b[:, 0:2]) * (nibbles(b[:, 6:]) + 16 * bits_of_32(b[:, 2:6]) - 16)


def q5_1(b):
    return half(b[:, 0:2]) * (nibbles(b[:, 8:]) + 16 * bits_of_32(b[:, 4:8])) + half(b[:, 2:4])


def q8_0(b):
    return half(b[:, 0:2]) * b[:, 2:].view(np.int8)


def planes(bytes_, width, count):
    """[n, 32 k] -> [n, k * count, 32]: each 32 bytes hold `count` rows of `width`-bit numbers, lowest bits first."""
    shifts = (width * np.arange(count, dtype=np.uint8)).reshape(1, 1, count, 1)
    rows = bytes_.reshape(len(bytes_), -1, 1, 32) >> shifts & np.uint8(2**width - 1)
    return rows.reshape(len(bytes_), -1, 32).astype(np.float64)


def groups(d, scale, q):
    """d [n, 1] times scale [n, groups] times q in groups of equal length: [n, 256]."""
    return ((d * scale)[:, :, None] * q.reshape(len(q), scale.shape[1], -1)).reshape(-1, 256)


def q2_k(b):
    """Sixteen groups of 16, each with a byte of scale (low) and minimum (high)."""
    scale, minimum = (b[:, 0:16] & 15).astype(np.float64), (b[:, 0:16] >> 4).astype(np.float64)
    values = groups(half(b[:, 80:82]), scale, planes(b[:, 16:80], 2, 4))
    return values - groups(half(b[:, 82:84]), minimum, np.ones((len(b), 256)))


def q3_k(b):
    """Sixteen groups of 16; a clear bit in the first 32 bytes lowers a value by 4; scales are 4 and 2 bits of 12 bytes."""
    q = planes(b[:, 32:96], 2, 4) - 4 * (1 - planes(b[:, 0:32], 1, 8))
    low = np.concatenate([b[:, 96:104] & 15, b[:, 96:104] >> 4], axis=1).astype(np.float64)
    high = np.concatenate([b[:, 104:108] >> shift & 3 for shift in (0, 2, 4, 6)], axis=1).astype(np.float64)
    return groups(half(b[:, 108:110]), low + 16 * high - 32, q)


def six_bit_pairs(packed):
    """Scales and minima of eight groups, packed in 12 bytes."""
    low, middle, high = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scale = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=1)
    minimum = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=1)
    return scale.astype(np.float64), minimum.astype(np.float64)


def q4_k(b):
    """Eight groups of 32, which share nibbles in pairs."""
    scale, minimum = six_bit_pairs(b[:, 4:16])
    values = groups(half(b[:, 0:2]), scale, planes(b[:, 16:], 4, 2))
    return values - groups(half(b[:, 2:4]), minimum, np.ones((len(b), 256)))


def q5_k(b):
    """As Q4_K, and 32 bytes with a fifth bit for each of the eight groups."""
    scale, minimum = six_bit_pairs(b[:, 4:16])
    values = groups(half(b[:, 0:2]), scale, planes(b[:, 48:], 4, 2) + 16 * planes(b[:, 16:48], 1, 8))
    return values - groups(half(b[:, 2:4]), minimum, np.ones((len(b), 256)))


def q6_k(b):
    """Two halves of 128; each value has 4 bits in ql and 2 in qh; 16 values share an int8 scale."""
    ql = b[:, 0:128].reshape(-1, 2, 2, 32)
    qh = b[:, 128:192].reshape(-1, 2, 1, 32)
    four = np.concatenate([ql & 15, ql >> 4], axis=2)
    two = qh >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1) & 3
    q = (four | two << 4).astype(np.float64) - 32
    scale = b[:, 192:208].view(np.int8).astype(np.float64)
    return (half(b[:, 208:210])[:, :, None] * scale[:, :, None] * q.reshape(-1, 16, 16)).reshape(-1, 256)


DEQUANTISERS = {
    "F32": f32, "F16": f16, "BF16": bf16, "Q4_0": q4_0, "Q4_1": q4_1, "Q5_0": q5_0, "Q5_1": q5_1,
    "Q8_0": q8_0, "Q2_K": q2_k, "Q3_K": q3_k, "Q4_K": q4_k, "Q5_K": q5_k, "Q6_K": q6_k,
}  # fmt: skip
