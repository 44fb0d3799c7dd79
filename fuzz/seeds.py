"""Writes what fuzzing starts from into a folder: small sound files of each kind, made here from scratch.

Usage: python3 fuzz/seeds.py FOLDER
"""
import pathlib
import struct
import sys

U8, U32, I32, F32, BOOL, STRING, ARRAY = 0, 4, 5, 6, 7, 8, 9
BYTES = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
ALPHABET = [chr(b if b in BYTES else 256 + sum(c not in BYTES for c in range(b))) for b in range(256)]

TEMPLATES = [
    "{% for m in messages %}{{ m.role + ': ' + m['content'] | trim }}\n{% endfor %}{{ bos_token if loop is defined }}",
    "{% set ns = namespace(a=0, b=[]) %}{% for m in messages[1:] %}{% set ns.a = ns.a + loop.index0 %}{% endfor %}{{ ns.a ~ 'x' }}",
    "{%- macro f(x, y=2) -%}{{ x * y }}{%- endmacro -%}{{ f('ab') }}{{ f(x=1, y=[1, 2.5][0]) }}{% generation %}t{% endgeneration %}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') | tojson(indent=2) }}",
    "{% if not tools is defined or tools is none %}{{ raise_exception('no ' ~ strftime_now('%d %b %Y')) }}{% elif 1 < 2 <= 3 %}a{% else %}b{% endif %}",
    "{{ 'a</think>b'.split('</think>')[-1].lstrip('\\n') }}{{ {'a': [1, none, true]} | tojson }}{{ range(3) | list }}{{ 'abc'[::-1] }}",
    "{% for k, v in {'a': 1}.items() %}{{ k }}{{ v // 2 % 3 - -1 }}{% if loop.last %}{% break %}{% endif %}{% else %}none{% endfor %}",
    "{% set x %}{{ messages[0].content | replace('e', 'E') | upper | indent(2) }}{% endset %}{{ x | length }}{# c #}{{ 'in' in x and x is string }}",
]


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def gguf(pairs, tensors=()):
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    data = b""
    for name, sizes, kind, content in tensors:
        out += text(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes) + struct.pack("<IQ", kind, len(data))
        data += content + bytes(-len(content) % 32)
    return out + bytes(-len(out) % 32) + data


def string(key, value):
    return pair(key, STRING, text(value))


def vocabulary(model, pre, tokens, types, extra):
    return [
        string("general.architecture", "llama"), string("tokenizer.ggml.model", model), string("tokenizer.ggml.pre", pre),
        pair("tokenizer.ggml.tokens", ARRAY, array(STRING, [text(t) for t in tokens])),
        pair("tokenizer.ggml.token_type", ARRAY, array(I32, [struct.pack("<i", t) for t in types])),
        pair("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 0)),
        pair("tokenizer.ggml.add_bos_token", BOOL, b"\1"), string("tokenizer.chat_template", TEMPLATES[0]), *extra]


def files():
    merges = ["t h", "th e", "Ġ the", "1 2", "Ċ Ċ"]
    words = ["<s>", "<|eot_id|>"] + ALPHABET + [m.replace(" ", "") for m in merges]
    merge_list = pair("tokenizer.ggml.merges", ARRAY, array(STRING, [text(m) for m in merges]))
    for pre in ("llama-bpe", "tekken", "deepseek-v3"):
        yield gguf(vocabulary("gpt2", pre, words, [3, 3] + [1] * (len(words) - 2), [merge_list]))
    pieces = ["<unk>", "<s>"] + [f"<0x{b:02X}>" for b in range(256)] + list("▁helo") + ["he", "ll", "hell", "▁hell", "▁▁"]
    scores = array(F32, [struct.pack("<f", -i) for i in range(len(pieces))])
    types = [2, 3] + [6] * 256 + [1] * (len(pieces) - 258)
    yield gguf(vocabulary("llama", "default", pieces, types, [pair("tokenizer.ggml.scores", ARRAY, scores)]))
    numbers = struct.pack("<32f", *range(32))
    adapter = [string("general.type", "adapter"), string("general.architecture", "llama"),
               string("adapter.type", "lora"), pair("adapter.lora.alpha", F32, struct.pack("<f", 4))]
    yield gguf(adapter, [("blk.0.attn_q.weight.lora_a", (16, 2), 0, numbers), ("blk.0.attn_q.weight.lora_b", (2, 16), 0, numbers)])
    kinds = [(0, 32, 128), (1, 32, 64), (8, 32, 34), (2, 32, 18), (3, 32, 20), (12, 256, 144), (14, 256, 210), (30, 32, 64)]
    yield gguf([pair("general.alignment", U32, struct.pack("<I", 32)), pair("k", U8, b"\7")],
               [(f"t{kind}", (values, 1), kind, bytes(range(size))) for kind, values, size in kinds])


def main():
    folder = pathlib.Path(sys.argv[1])
    texts = ["Hello, it's 12345 wörlds!\r\n\n  \t<s>x</s> 🙂👩‍👩‍👧", "DON'T stop ÀÉÎ 你好世界 ひらがな १२३ \u0301e\u0301 ／／\n/ \u3000。 #tag"]
    kinds = {"gguf": files(), "template": [t.encode() for t in TEMPLATES], "text": [t.encode() for t in texts]}
    for kind, contents in kinds.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(contents):
            (folder / kind / f"seed-{number}").write_bytes(content)


if __name__ == "__main__":
    main()
