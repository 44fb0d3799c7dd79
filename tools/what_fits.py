#!/usr/bin/env python3
"""Trains two steps on each model and pair size, and writes what was held and how fast into README.md's table.

A step is 4 pairs with ids of their own, rank 16 on all linear layers, AdamW; the loss is SimPO's, which scores nothing
beforehand. Memory is the peak that training reports, the mapped model included; the rate is that of the second step, prompts
counted with each answer. A model that is not in weights/ is named and left out. Run by `make what-fits`.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZES = [(128, 128), (256, 256), (768, 128)]
PAIRS = 4
# Model and budgets beside it; the least that is practical for the large ones.
RUNS = {
    "SmolLM2-135M-Instruct.Q4_1": ["auto", "512MiB"],
    "llama-3.2-1b-shape.Q4_K_M": ["auto", "1GiB"],
    "llama-3.2-1b-shape.F16": ["auto"],
    "llama-3-8b-shape.Q4_K_M": ["auto", "2GiB"],
    "llama-3-8b-shape.Q8_0": ["auto", "2GiB"],
    "llama-3-8b-shape.F16": ["3GiB"],
}
BEGIN, END = "<!-- made by tools/what_fits.py -->\n", "<!-- end -->\n"


def write_pairs(path, prompt, answer):
    source = random.Random(1)
    draw = lambda count: [source.randrange(1000, 40_000) for _ in range(count)]  # noqa: E731
    lines = [{"prompt_ids": draw(prompt), "chosen_ids": draw(answer), "rejected_ids": draw(answer)} for _ in range(PAIRS)]
    path.write_text("".join(json.dumps({"prompt": "", "chosen": "", "rejected": ""} | line) + "\n" for line in lines))


def train(parley, model, budget, prompt, answer):
    """MiB held, MiB planned, tokens a second."""
    with tempfile.TemporaryDirectory() as folder:
        pairs, out = Path(folder, "pairs.jsonl"), Path(folder, "out")
        write_pairs(pairs, prompt, answer)
        command = [parley, "train", model, "--pairs", pairs, "--out", out, "--loss", "simpo", "--batch", PAIRS, "--epochs", 2]
        done = subprocess.run([*map(str, command), "--memory", budget], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"what_fits: {' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
        held, planned = re.search(r"held at most ([\d.]+) MiB, planned were ([\d.]+) MiB", done.stderr).groups()
        first, second = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()[:2])
        rate = (second["num_tokens"] - first["num_tokens"]) / (second["elapsed"] - first["elapsed"])
        return float(held), float(planned), rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(RUNS), help=f"names without .gguf; default: {' '.join(RUNS)}")
    parser.add_argument("--folder", type=Path, default=ROOT / "weights")
    parser.add_argument("--parley", type=Path, default=ROOT / ".build/release/parley")
    parser.add_argument("--write", type=Path, metavar="README.md", help="replace the table there")
    options = parser.parse_args()
    lines = ["| model | its file | `--memory` | pairs | held at most | tokens/s |", "|---|---|---|---|---|---|"]
    for model in options.models:
        path = options.folder / f"{model}.gguf"
        if not path.exists():
            print(f"what_fits: {model} is missing: make weights-synthetic makes it", file=sys.stderr)
            continue
        for prompt, answer in SIZES:
            for budget in RUNS[model]:
                held, planned, rate = train(options.parley, path, budget, prompt, answer)
                size = path.stat().st_size / 2**30
                pairs = f"{prompt} + {answer}/{answer}"
                lines.append(f"| {model} | {size:.2f} GiB | {budget} | {pairs} | {held / 1024:.2f} GiB | {rate:.1f} |")
                print(f"{lines[-1]} planned {planned / 1024:.2f} GiB", file=sys.stderr)
    table = "\n".join(lines) + "\n"
    print(table)
    if options.write:
        text = options.write.read_text()
        before, rest = text.split(BEGIN)
        options.write.write_text(before + BEGIN + table + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
