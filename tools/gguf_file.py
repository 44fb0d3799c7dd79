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
    8: ("Q8_0", 32, 34),
    12: ("Q4_K", 256, 144),
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

    def tensor(self, name):
        """The exact values of a tensor, float64, slowest dimension first."""
        shape, kind, offset = self.tensors[name]
        if kind not in FORMATS:
            raise ValueError(f"tensor {name} has type id {kind}, which this reader does not know")
        format_name, values, size = FORMATS[kind]
        count = int(np.prod(shape)) // values
        raw = np.frombuffer(self.bytes, np.uint8, count * size, self.data + offset)
        return dequantise(format_name, raw.reshape(count, size)).reshape(shape[::-1])


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


def q8_0(b):
    return half(b[:, 0:2]) * b[:, 2:].view(np.int8)


def q4_k(b):
    """Eight groups of 32 with 6-bit scale and minimum, packed in 12 bytes; groups share nibbles in pairs."""
    packed = b[:, 4:16]
    low, middle, high = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scale = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=1)
    minimum = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=1)
    q = nibbles(b[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    d, d_min = half(b[:, 0:2])[:, :, None], half(b[:, 2:4])[:, :, None]
    return (d * scale[:, :, None] * q - d_min * minimum[:, :, None]).reshape(-1, 256)


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
    "F32": f32, "F16": f16, "BF16": bf16, "Q4_0": q4_0, "Q4_1": q4_1, "Q8_0": q8_0, "Q4_K": q4_k, "Q6_K": q6_k,
}  # fmt: skip
