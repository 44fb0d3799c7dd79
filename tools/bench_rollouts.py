#!/usr/bin/env python3
"""Measures sampling and scoring at scale, and sets sampling beside llama.cpp and ik_llama.cpp.

Ours is `parley bench`: rollouts (8 answers of 128 tokens to each of 64 prompts of 64 to 256, prompts run on the clock), score-pairs
and score-policies, each beside plainer work of ours. No peer has a program for the first, so theirs is composed from its
llama-batched-bench, in its favour: batches that never run dry, prompts of the mean length, each run once for its 8 answers.
Of batches of 8, 32 and 64 answers the fastest counts, and of the peers the better one. Run by `make bench-rollouts`.
"""

import argparse
import datetime
import json
import platform
import statistics
import sys
from pathlib import Path

from bench_peers import PEER_RUNS, PEERS, ROOT, Race, append, number, physical_cores

MODELS = ["SmolLM2-135M-Instruct.Q4_1", "llama-3.2-1b-shape.Q4_K_M"]
DECODE = ["batch-8", "batch-32", "batch-64"]
WORKS = DECODE + ["pp512", "rollouts", "score-pairs", "score-policies"]
SAMPLES, PROMPT, ANSWER = 8, 160, 128
# The least share of the plainer work's rate, and of the better peer's. Of two policies: at most 1.15 times the time of each token.
OWN_BARS = {"rollouts": 0.75, "score-pairs": 0.85, "score-policies": 1 / 1.15}
PEER_BAR = 2.5


class Rollouts(Race):
    def __init__(self, options):
        super().__init__(options)
        self.results = {}  # (model, work, precision) -> what `parley bench` said, one for each round

    def ours(self, model, path, precision):
        command = [str(self.options.parley), "bench", str(path), "--precision", precision, "--json", "--quiet"]
        command += ["--repetitions", "1", "--threads", str(self.options.threads), "--only", *self.options.works]
        outputs = self.run(f"parley {precision}", command)
        if outputs is None:
            return
        report = json.loads(outputs[0])
        self.machine = report["machine"]
        for result in report["results"]:
            self.results.setdefault((model, result["name"], precision), []).append(result)

    def peer(self, model, path, who):
        prefix, flags = PEER_RUNS[who]
        counts = [work[len("batch-") :] for work in DECODE]
        command = [str(PEERS / f"{prefix}-batched-bench"), "-m", str(path), "-t", str(self.options.threads)]
        command += ["-fa", "on", "-pps", "-c", str(320 * max(map(int, counts))), "-b", "2048", "-ub", "512"]
        command += ["-npp", str(PROMPT), "-ntg", str(ANSWER), "-npl", ",".join(counts), *flags]
        rates = []
        # ik prints its table to standard error.
        for line in "\n".join(self.run(who, command) or ()).splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            # | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |
            if len(cells) == 10 and cells[0] == str(PROMPT):
                answers, prompt_seconds, seconds = int(cells[2]), float(cells[4]), float(cells[6])
                rates.append(answers * ANSWER / (seconds + answers / SAMPLES * prompt_seconds))
        if rates:
            self.add(model, "rollouts", who, max(rates))

    def rounds(self):
        for model in self.options.models:
            path = self.options.folder / f"{model}.gguf"
            if not path.exists():
                self.note(f"{model} is missing: make weights or make weights-synthetic makes it")
                continue
            turns = []
            if "rollouts" in self.options.works:
                for who in PEER_RUNS:
                    if who.startswith("ik") and model.endswith("Q4_1"):
                        self.note(f"{who} is not raced on {model}: its prompt path gives wrong results there")
                    else:
                        turns.append((self.peer, who))
            turns += [(self.ours, precision) for precision in self.options.precisions]
            for round_number in range(self.options.rounds):
                for turn, who in turns:
                    print(f"{model}, round {round_number + 1} of {self.options.rounds}: {who}", file=sys.stderr)
                    turn(model, path, who)

    # The table

    def rate(self, model, work, precision):
        results = self.results.get((model, work, precision))
        return statistics.median(result["tokens_per_second"] for result in results) if results else None

    def comparison(self, model, work, precision):
        """What a rate is set beside, the ratio, the bar."""
        if work == "rollouts":
            plain = {name: rate for name in DECODE if (rate := self.rate(model, name, precision))}
            beside = max(plain, key=plain.get, default=None)
        else:
            beside = {"score-pairs": "pp512", "score-policies": "score-pairs"}.get(work)
            plain = {beside: self.rate(model, beside, precision)} if beside else {}
        rate = self.rate(model, work, precision)
        if work in OWN_BARS and beside and plain[beside]:
            yield beside, rate / plain[beside], OWN_BARS[work]
        if work == "rollouts":
            peers = {who: self.median(model, work, who) for who in PEER_RUNS if self.median(model, work, who)}
            best = max(peers, key=peers.get, default=None)
            if best:
                yield f"{best}, {number(peers[best])}", rate / peers[best], PEER_BAR

    def table(self):
        lines = ["| work | model | precision | tokens/s | peak MiB | beside | ratio |", "|" + "---|" * 7]
        for model in self.options.models:
            for precision in self.options.precisions:
                for work in self.options.works:
                    results = self.results.get((model, work, precision))
                    if not results:
                        continue
                    peak = max(result["peak_resident_mib"] for result in results)
                    cells = [work, model, precision, number(self.rate(model, work, precision)), f"{peak:.0f}"]
                    found = list(self.comparison(model, work, precision))
                    beside = "; ".join(name for name, _, _ in found)
                    ratios = "; ".join(
                        f"{ratio:.2f} of {bar:.2f}: {'holds' if ratio >= bar else 'misses'}" for _, ratio, bar in found
                    )
                    lines.append("| " + " | ".join(cells + [beside, ratios]) + " |")
        return "\n".join(lines)

    def report(self):
        machine = self.machine or {}
        facts = [machine.get("processor") or platform.processor(), machine.get("system"), machine.get("kernels")]
        where = ", ".join(filter(None, facts)) + f", {self.options.threads} threads"
        peak = ", ".join(f"{name} {value:.0f}" for name, value in sorted(machine.get("peak", {}).items()))
        versions = PEERS / "VERSIONS"
        built = versions.read_text().strip().replace("\n", "; ") if versions.exists() else "of unknown versions"
        lines = [
            f"## {datetime.date.today()}: sampling and scoring at scale",
            f"{where}. Peaks: {peak or 'not measured'}.",
            f"Rollouts in new tokens, scores in distinct tokens, of two policies in those of both; medians of {self.options.rounds}",
            f"rounds, taking turns. The peers' rate is composed (see tools/bench_rollouts.py). Peers: {built}.",
            "", self.table(), "",
            *[f"- {text}" for text in self.notes],
            "", "Commands: " + "; ".join(f"`{command}`" for command in self.commands) + ".",
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help=f"names without .gguf; default: {' '.join(MODELS)}")
    parser.add_argument("--works", nargs="+", default=WORKS, choices=WORKS, help="in this order, plainer work first")
    parser.add_argument("--precisions", nargs="+", default=["int16"], choices=["f32", "int16", "int8"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--folder", type=Path, default=ROOT / "weights", help="where the models lie")
    parser.add_argument("--parley", type=Path, default=ROOT / ".build/release/parley")
    parser.add_argument("--append", type=Path, metavar="LOG.md", help="put the report in front of this log's entries")
    parser.add_argument("--verbose", action="store_true", help="show every command")
    options = parser.parse_args()
    options.folder, options.parley = options.folder.resolve(), options.parley.resolve()
    race = Rollouts(options)
    race.rounds()
    if not race.results:
        sys.exit("bench_rollouts: nothing was measured")
    report = race.report()
    print(report)
    if options.append:
        append(options.append, report)


if __name__ == "__main__":
    main()
