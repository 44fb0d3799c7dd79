#!/usr/bin/env python3
"""Races one optimiser step of preference training against torch and PEFT: the same weights, shapes and pairs, taking turns.

A step is DPO on 4 pairs: a prompt and two answers each, every answer counted with its prompt. LoRA of rank 16, alpha 32, on
all linear layers, no dropout; AdamW; log-probs of the reference are given on both sides; logits only at the answers. Ours
is `parley bench MODEL --only train` (prompts of 128 tokens) or `train-long` (768); theirs a plain loop in bfloat16 over
transformers' model (weights dequantised from the same file) under PEFT, with and without gradient checkpointing. Each turn is
its own process, and torch may take all memory that is free, no more. Run by `make bench-train`.
"""

import argparse
import datetime
import json
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "peers/train-venv/bin/python"
PAIRS, ANSWER = 4, 128
PROMPTS = {"train": 128, "train-long": 768}

# The least that counts as holding: our rate over torch's better one, torch's peak with checkpointing over ours, our rate
# with all threads over that of one.
RATE_BARS = {"train": 4, "train-long": 5}
MEMORY_BAR = 4
THREADS_BAR = 1.8


# ---- One turn of torch, in a process of its own ----


def peak_mib():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def free_bytes():
    return 1024 * int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[1])


def torch_turn(path, prompt, checkpointing, threads, steps):
    resource.setrlimit(resource.RLIMIT_DATA, (free_bytes(), free_bytes()))
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

    prompts = torch.randint(0, base.config.vocab_size, (PAIRS, prompt)).repeat(2, 1)
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
    print(json.dumps({"rate": ids.numel() / statistics.median(seconds), "mib": peak_mib()}))


# ---- The race ----


def finish(command):
    """What it printed last, or None if there was too little memory for it."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0 and re.search("MemoryError|can't allocate memory", done.stderr):
        return None
    if done.returncode != 0:
        sys.exit(f"bench_train: {' '.join(map(str, command))} failed:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(options, model, work, precision, threads):
    command = [options.parley, "bench", model, "--precision", precision, "--threads", threads, "--only", work]
    report = finish([*command, "--repetitions", options.steps, "--json", "--quiet"])
    result = report["results"][0]
    return result["tokens_per_second"], result["peak_resident_mib"], result["flops_share"]


def theirs(options, model, work, checkpointing):
    command = [PYTHON, __file__, model, "--works", work, "--turn", "on" if checkpointing else "off", "--steps", options.steps]
    result = finish([*command, "--threads", options.threads[-1]])
    return result and (result["rate"], result["mib"])


def race(options, model, work):
    """Contestant -> list of (tokens a second, MiB, share of the peak if ours), one for each round; empty if it did not fit."""
    precision = "f32" if model.stem.endswith("F16") else "int16"
    turns = {
        f"ours {precision}, {count} thread{'s' if count > 1 else ''}": (ours, precision, count) for count in options.threads
    }
    turns |= {"torch bf16": (theirs, False), "torch bf16, checkpointing": (theirs, True)}
    found = {who: [] for who in turns}
    for number in range(options.rounds):
        for who, (turn, *arguments) in turns.items():
            print(f"{model.stem}, {work}, round {number + 1} of {options.rounds}: {who}", file=sys.stderr)
            if number > 0 and not found[who]:
                continue
            if (result := turn(options, model, work, *arguments)) is not None:
                found[who].append(result)
    return found


def verdict(ratio, bar):
    return f"{ratio:.2f} of {bar:g}: " + ("holds" if ratio >= bar else "misses")


def rows(model, work, found):
    medians = {who: [statistics.median(column) for column in zip(*rounds)] for who, rounds in found.items()}
    torch = {who: median for who, median in medians.items() if median and who.startswith("torch")}
    best = max((rate for rate, _ in torch.values()), default=None)
    mine = [who for who in medians if who.startswith("ours")]
    raced = mine[-1]  # with as many threads as torch
    for who, median in medians.items():
        if not median:
            yield f"| {model.stem} | {work} | {who} | did not fit | | | | |"
            continue
        rate, mib, share = [*median, None][:3]
        cells = [model.stem, work, who, f"{rate:.1f}", f"{100 * share:.0f} %" if share else "", f"{mib:.0f}"]
        if who == raced:
            cells.append(verdict(rate / best, RATE_BARS[work]) if best else "no torch")
            saving = torch.get("torch bf16, checkpointing", (0, 0))[1] / mib
            cells.append(f"memory 1/{verdict(saving, MEMORY_BAR)}" if saving else "")
            if len(mine) > 1:
                cells[-1] += f"; threads {verdict(rate / medians[mine[0]][0], THREADS_BAR)}"
        else:
            cells += [f"{rate / best:.2f}" if best else "", ""]
        yield "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [ROOT / "weights/SmolLM2-135M-Instruct.Q4_1.gguf", ROOT / "weights/llama-3.2-1b-shape.Q4_K_M.gguf"]
    parser.add_argument("models", nargs="*", type=Path, default=default, metavar="MODEL", help="GGUF files")
    parser.add_argument("--works", nargs="+", default=list(PROMPTS), choices=list(PROMPTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="measured steps of a turn, after one that is not")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="ours; torch takes the last")
    parser.add_argument("--parley", type=Path, default=ROOT / ".build/release/parley")
    parser.add_argument("--append", type=Path, metavar="LOG.md", help="put the report in front of this log's entries")
    parser.add_argument("--turn", choices=["on", "off"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        prompt = PROMPTS[options.works[0]]
        return torch_turn(options.models[0].resolve(), prompt, options.turn == "on", options.threads[-1], options.steps)
    lines = [
        f"## {datetime.date.today()}: a training step against torch and PEFT",
        f"{platform.processor() or platform.machine()}. {PAIRS} pairs of 128 (train-long: 768) + 2 × {ANSWER} tokens; "
        f"medians of {options.rounds} rounds, taking turns. torch takes {options.threads[-1]} threads.",
        "",
        "| model | work | who | tokens/s | share of peak | peak MiB | rate to the better torch | others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in options.models:
        for work in options.works:
            lines += rows(model, work, race(options, model, work))
    report = "\n".join(lines) + "\n"
    print(report)
    if options.append:
        from bench_peers import append

        append(options.append, report)


if __name__ == "__main__":
    main()
