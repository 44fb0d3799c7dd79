"""Token ids and pre-token splits by the `tokenizers` package, for Tests/Fixtures/tokenization-*.json.

Usage: python tools/make_tokenizer_fixture.py weights/SmolLM2-135M-Instruct.Q4_1.gguf Tests/Fixtures
Needs: pip install tokenizers gguf. The encoder is built from the model file's own vocabulary and merges; nothing of
Parley is used. Other vocabularies can be checked locally: --vocabulary FILE --out FILE.
"""
import argparse
import json
import pathlib

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

PATTERNS = {
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                 r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
             r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}

CASED = [r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"]
CASED_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS["qwen35"] = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
                      r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS["tekken"] = "|".join(CASED) + r"|\p{N}" + CASED_REST
PATTERNS["gpt-4o"] = "|".join(part + CONTRACTION for part in CASED) + r"|\p{N}{1,3}" + CASED_REST
STAGES = {
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
                    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
}

TEXTS = [
    "", " ", "  ", "   ", "\t", "\t\t a\tb", "\n", "\n\n", "\n\n\n x", " \n", "  \n\n  y", "\r\n", "a\r\nb\r\n\r\nc", "\r\r x",
    "Hello, world!", " Hello  World   !", "trailing  ", "trailing\n", "one two  three    four          five",
    "naïve café Ångström façade œuvre Ærø ñandú ß ẞ",
    "caf\u00e9 cafe\u0301", "\u00c5 A\u030a \u212b", "e\u0301\u0301\u0301x \u0301 \u0301a", "\uac01 \u1100\u1161\u11a8",
    "🙂👍🏽 👩‍👩‍👧‍👦🏳️‍🌈 🇩🇪🇯🇵 1️⃣ ☎️ ❤️‍🔥", "a🙂b 🙂", "👨‍💻code", "🙂" * 5,
    "1 12 123 1234 12345 123456 1234567 12345678 123456789", "3.14159 1,000,000 0x1F 1e-9 ２３ ٣٤ ४५ Ⅷ ½ ² ①②",
    " 7", "  7", "a1b22c333", "1st 2nd\n3rd  4", "v1.2.3-rc4", "\n1\n\n2",
    "def f(x):\n    return x ** 2  # square\n\n\tif x:\n\t\tpass\n", "for (int i = 0; i < n; ++i) { a[i] += b[i]; }\n",
    "<div class=\"a-b\">&amp;</div>", "{\"key\": [1, 2, {\"nested\": null}]}", "https://example.org/a?b=c&d=%20#e",
    "I'm you're he's we've they'll I'd can't DON'T I'M YOU'RE HE'S WE'VE THEY'LL I'D", "'s 't 're 've 'm 'll 'd 'S 'LL 'lL 'x",
    "rock 'n' roll ''quoted'' 'tis '90s o'clock", "'\u017f 'l'l 're'", "it’s we’ll ‘quoted’ “double”", "''''''' '' '",
    "Привет, как дела? Съешь ещё этих мягких французских булок.", "ការសរសេរ នេះជា ភាសាខ្មែរ ០១២៣",
    "我喜欢编程。日本語のテキスト、カタカナ　ひらがな！한국어 텍스트", "مرحبا بالعالم ١٢٣ שלום עולם", "हिन्दी में पाठ १२३ ไทย ทดสอบ",
    "x\u0085y \u0085 z\u0085\u0085", "a\u200bb \u200b c\u200b\u200b", "a\u00a0b \u00a0 c \u3000 d\u2028e\u2029f", "\ufeffbom",
    "x\u001cy\u001fz \u000b\u000c w", "a\u0000b", "\u007f\u0080\u009f", "control\u0001\u0004\u0006\u0013chars", "\U0010ffff\ue000\ufffd",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚 𐍈 𠜎", "A" * 40, "ab" * 40, " " * 33 + "x", "=" * 37, "\n" * 9 + "x", "--- *** ___ ~~~ ...!!!???",
    "Ünïcödé" * 6, "supercalifragilisticexpialidocious antidisestablishmentarianism", "THE QUICK BROWN FOX", "camelCaseAndPascalCase snake_case",
    "<|im_start|>user\nHi<|im_end|>\n", "<|im_end|>", "a<|endoftext|>b", "<|im_start|><|im_start|>", " <|im_end|> ", "<|im_end", "<|im_end|",
    "<<|im_end|>>", "<repo_name>x<reponame>", "x<|im_start|>1<|im_end|> 2", "<|begin_of_text|><|eot_id|>", "<file_sep><filename>a.py",
    "Line one\n  Line two\n\n\tLine three \n \n", "mixed\tspaces \t and\ttabs  \t", "€100 £20 ¥3000 ₹50 50% #tag @user $x",
    "∑∫√∞≠≤≥ α β γ Δ → ⇒ ∀x∈ℝ", "「引用」（括弧）、。・…", "zażółć gęślą jaźń ŁÓDŹ", "İstanbul ı ŞIĞ", "ﬁ ﬂ ﬀ ǆ ǅ Ǆ",
    "HTTPServer XMLHttpRequest iPhone ABC中DEF abc中 DON'T IT'S it'S", "\u0301ABC \u0301abc A\u0301B", "path/to//file\n/\n//x !\n/", "中文ABC \u3000。\u3000\u3000！x",
]


def read(path):
    fields = GGUFReader(path).fields
    get = lambda key: fields[f"tokenizer.ggml.{key}"].contents()
    return get("pre"), get("tokens"), get("token_type"), get("merges")


def pre_tokenizer(pre):
    if pre in ("smollm", "starcoder", "refact"):
        parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        parts = [pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated"),
                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    return pre_tokenizers.Sequence(parts)


def build(pre, tokens, types, merges):
    vocabulary = {text: i for i, text in enumerate(tokens)}
    model = models.BPE(vocabulary, [tuple(m.split(" ")) for m in merges], ignore_merges=pre == "llama-bpe")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer(pre)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == 3])
    tokenizer.add_tokens(
        [AddedToken(t, special=False, normalized=False) for t, kind in zip(tokens, types) if kind == 4])
    return tokenizer


def ids(path):
    pre, tokens, types, merges = read(path)
    parsing = build(pre, tokens, types, merges)
    plain = build(pre, tokens, [1 if kind == 3 else kind for kind in types], merges)
    return {"pre": pre, "cases": [
        {"text": t, "plain": plain.encode(t, add_special_tokens=False).ids,
         "special": parsing.encode(t, add_special_tokens=False).ids} for t in TEXTS]}


def splits():
    # The Split alone, before bytes are renamed, so that pieces are the text's own.
    result = {}
    for pre, pattern in PATTERNS.items():
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        result[pre] = [[piece for piece, _ in split.pre_tokenize_str(t)] for t in TEXTS]
    for pre, stages in STAGES.items():
        split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(stage), "isolated") for stage in stages])
        result[pre] = [[piece for piece, _ in split.pre_tokenize_str(t)] for t in TEXTS]
    both = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                    pre_tokenizers.Split(Regex(PATTERNS["gpt-2"]), "isolated")])
    result["smollm"] = [[piece for piece, _ in both.pre_tokenize_str(t)] for t in TEXTS]
    return {"texts": TEXTS, "splits": result}


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--vocabulary")
    parser.add_argument("--out")
    given = parser.parse_args()
    if given.vocabulary:
        write(given.out, ids(given.vocabulary))
    else:
        write(given.folder / "tokenization-smollm2.json", ids(given.model))
        write(given.folder / "tokenization-splits.json", splits())


if __name__ == "__main__":
    main()
