#!/usr/bin/env python3
"""Races one optimiser step of preference training against torch and PEFT: the same weights, shapes and pairs, taking turns.

A step is DPO on 4 pairs: a prompt and two answers each, every answer counted with its prompt. LoRA of rank 16, alpha 32, on
all linear layers, no dropout; AdamW; log-probs of the reference are given on both sides; logits only at the answers. Ours
is `parley bench MODEL --only train`; theirs a plain loop in bfloat16 over transformers' model (weights dequantised from the
same file) under PEFT, with and without gradient checkpointing. Each turn is its own process. Run by `make bench-train`.
"""

import argparse
import datetime
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "peers/train-venv/bin/python"
PAIRS, PROMPT, ANSWER = 4, 128, 128
TOKENS = 2 * PAIRS * (PROMPT + ANSWER)
BAR = 1.0  # ours must reach torch's better rate


# ---- One turn of torch, in a process of its own ----


def peak_mib():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def torch_turn(path, checkpointing, threads, steps):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    torch.set_num_threads(threads)
    base = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.bfloat16)
    adapter = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, adapter)
    model.config.use_cache = False
    model.train()
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)

    prompts = torch.randint(0, base.config.vocab_size, (PAIRS, PROMPT)).repeat(2, 1)
    answers = torch.randint(0, base.config.vocab_size, (2 * PAIRS, ANSWER))
    ids = torch.cat([prompts, answers], dim=1)  # chosen first, then rejected
    reference = torch.zeros(PAIRS)

    def step():
        logits = model(input_ids=ids, logits_to_keep=ANSWER + 1).logits[:, :-1].float()
        logps = torch.log_softmax(logits, -1).gather(-1, answers[..., None]).squeeze(-1).sum(-1)
        margins = logps[:PAIRS] - logps[PAIRS:] - reference
        loss = -torch.nn.functional.logsigmoid(0.1 * margins).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    Path("/proc/self/clear_refs").write_text("5")  # the peak of training, not that of loading
    step()
    seconds = []
    for _ in range(steps):
        start = time.monotonic()
        step()
        seconds.append(time.monotonic() - start)
    print(json.dumps({"rate": TOKENS / statistics.median(seconds), "mib": peak_mib()}))


# ---- The race ----


def finish(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench_train: {' '.join(map(str, command))} failed:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(options, model, precision, threads):
    command = [options.parley, "bench", model, "--precision", precision, "--threads", threads, "--only", "train"]
    report = finish([*command, "--repetitions", options.steps, "--json", "--quiet"])
    result = report["results"][0]
    return result["tokens_per_second"], result["peak_resident_mib"]


def theirs(options, model, checkpointing):
    command = [PYTHON, __file__, model, "--turn", "on" if checkpointing else "off", "--steps", options.steps]
    result = finish([*command, "--threads", options.threads[-1]])
    return result["rate"], result["mib"]


def race(options, model):
    """Contestant -> list of (tokens a second, MiB), one for each round."""
    precision = "f32" if model.stem.endswith("F16") else "int16"
    turns = {
        f"ours {precision}, {count} thread{'s' if count > 1 else ''}": (ours, precision, count) for count in options.threads
    }
    turns |= {"torch bf16": (theirs, False), "torch bf16, checkpointing": (theirs, True)}
    found = {who: [] for who in turns}
    for number in range(options.rounds):
        for who, (turn, *arguments) in turns.items():
            print(f"{model.stem}, round {number + 1} of {options.rounds}: {who}", file=sys.stderr)
            found[who].append(turn(options, model, *arguments))
    return found


def rows(model, found):
    medians = {who: tuple(statistics.median(column) for column in zip(*rounds)) for who, rounds in found.items()}
    best = max(rate for who, (rate, _) in medians.items() if who.startswith("torch"))
    raced = [who for who in medians if who.startswith("ours")][-1]  # with as many threads as torch
    for who, (rate, mib) in medians.items():
        ratio = f"{rate / best:.2f}"
        if who == raced:
            ratio += f" of {BAR:g}: " + ("holds" if rate / best >= BAR else "misses")
        yield f"| {model.stem} | {who} | {rate:.1f} | {mib:.0f} | {ratio} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [ROOT / "weights/SmolLM2-135M-Instruct.Q4_1.gguf", ROOT / "weights/llama-3.2-1b-shape.F16.gguf"]
    parser.add_argument("models", nargs="*", type=Path, default=default, metavar="MODEL", help="GGUF files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="measured steps of a turn, after one that is not")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="ours; torch takes the last")
    parser.add_argument("--parley", type=Path, default=ROOT / ".build/release/parley")
    parser.add_argument("--append", type=Path, metavar="LOG.md", help="put the report in front of this log's entries")
    parser.add_argument("--turn", choices=["on", "off"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        return torch_turn(options.models[0].resolve(), options.turn == "on", options.threads[-1], options.steps)
    lines = [
        f"## {datetime.date.today()}: a training step against torch and PEFT",
        f"{platform.processor() or platform.machine()}. {PAIRS} pairs of {PROMPT} + 2 × {ANSWER} tokens, {TOKENS} tokens a step; "
        f"medians of {options.rounds} rounds, taking turns. torch takes {options.threads[-1]} threads.",
        "",
        "| model | who | tokens/s | peak MiB | ratio to the better torch |",
        "|---|---|---|---|---|",
    ]
    for model in options.models:
        lines += rows(model, race(options, model))
    report = "\n".join(lines) + "\n"
    print(report)
    if options.append:
        from bench_peers import append

        append(options.append, report)


if __name__ == "__main__":
    main()
