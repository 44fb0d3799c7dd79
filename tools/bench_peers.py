#!/usr/bin/env python3
"""Races Parley against llama.cpp and ik_llama.cpp: the same work on the same files, taking turns, medians of the rounds.

Decode of large models drifts by more than half within an hour on shared machines, so nobody runs all rounds in one go.
Prefill and one-sequence decode come from each peer's llama-bench (flash attention on), batched decode from its
llama-batched-bench. ik_llama.cpp runs twice, as it is and with -rtr (weights repacked at load); the better of all counts as
the peer, cell by cell. Run by `make bench-peers`; what is missing is named, never left out in silence.
"""

import argparse
import datetime
import json
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "peers/bin"
WORKS = ["pp512", "pp2048", "tg128", "batch-1", "batch-8", "batch-32"]
MODELS = [
    "SmolLM2-135M-Instruct.Q8_0", "SmolLM2-135M-Instruct.F16",
    "llama-3.2-1b-shape.Q4_K_M", "llama-3.2-1b-shape.Q8_0", "llama-3.2-1b-shape.F16",
    "llama-3-8b-shape.Q4_K_M", "llama-3-8b-shape.Q8_0",
]  # fmt: skip
PEER_RUNS = {"llama.cpp": ("llama", []), "ik": ("ik", []), "ik -rtr": ("ik", ["-rtr"])}

# The least ratio to the better peer that counts as holding, for int16 and int8. Large: the 1B and 8B shapes, quantised.
LARGE_BARS = {
    "pp512": (0.85, 1.35), "pp2048": (0.9, 1.4), "tg128": (0.95, 1.0), "batch-8": (2.0, 2.5), "batch-32": (1.5, 2.2),
}  # fmt: skip
SMALL_BARS = {"pp512": (0.85, 1.25)}  # SmolLM2 Q8_0
FLOAT_BAR = 1.1  # prefill of 512 from F16 weights, against llama.cpp alone


def bars(model, work):
    if model.endswith("F16"):
        return (FLOAT_BAR if work == "pp512" else None, None)
    if "-shape." in model:
        return LARGE_BARS.get(work, (None, None))
    return SMALL_BARS.get(work, (None, None)) if model.endswith("Q8_0") else (None, None)


class Race:
    def __init__(self, options):
        self.options = options
        self.rates = {}  # (model, work, contestant) -> tokens a second, one for each round
        self.notes = []
        self.commands = []
        self.machine = None

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            print(f"bench_peers: {text}", file=sys.stderr)

    def run(self, who, command):
        """Standard output and standard error, or None after a note of what went wrong."""
        if self.options.verbose:
            print(" ".join(command), file=sys.stderr)
        shown = re.sub(r"\S*/([^/ ]+\.gguf)", "MODEL", " ".join(command)).replace(str(ROOT) + "/", "")
        if shown not in self.commands:
            self.commands.append(shown)
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=PEERS.parent)
        except OSError as error:
            self.note(f"{who} is missing: {error.strerror} ({command[0]})")
            return None
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            self.note(f"{who} failed with code {done.returncode}: {reason}")
            return None
        return done.stdout, done.stderr

    def add(self, model, work, who, rate):
        self.rates.setdefault((model, work, who), []).append(rate)

    # One turn of each contestant: every work on one model.

    def ours(self, model, path, precision):
        command = [str(self.options.parley), "bench", str(path), "--precision", precision, "--json", "--quiet"]
        command += ["--repetitions", "1", "--threads", str(self.options.threads), "--only", *self.options.works]
        outputs = self.run(f"parley {precision}", command)
        if outputs is None:
            return
        report = json.loads(outputs[0])
        self.machine = report["machine"]
        for result in report["results"]:
            self.add(model, result["name"], precision, result["tokens_per_second"])

    def peer(self, model, path, who):
        prefix, flags = PEER_RUNS[who]
        threads = ["-t", str(self.options.threads)]
        single = [work for work in self.options.works if not work.startswith("batch-")]
        if single:
            command = [str(PEERS / f"{prefix}-bench"), "-m", str(path), *threads, "-fa", "1", "-r", "1", "-o", "json"]
            prompts = [work[2:] for work in single if work.startswith("pp")]
            answers = [work[2:] for work in single if work.startswith("tg")]
            command += ["-p", ",".join(prompts) or "0", "-n", ",".join(answers) or "0"]
            command += [part for flag in flags for part in (flag, "1")]
            output, _ = self.run(who, command) or ("", "")
            # ik prints notes before and between the objects.
            for text in re.findall(r"^\s*\{.*?^\s*\}", output, re.S | re.M):
                test = json.loads(text)
                work = f"pp{test['n_prompt']}" if test["n_prompt"] else f"tg{test['n_gen']}"
                self.add(model, work, who, test["avg_ts"])
        counts = [work[len("batch-") :] for work in self.options.works if work.startswith("batch-")]
        if counts:
            command = [str(PEERS / f"{prefix}-batched-bench"), "-m", str(path), *threads, "-fa", "on", "-pps"]
            command += ["-c", str(256 * max(map(int, counts))), "-b", "2048", "-ub", "512"]
            command += ["-npp", "128", "-ntg", "64", "-npl", ",".join(counts), *flags]
            # ik prints its table to standard error.
            for line in "\n".join(self.run(who, command) or ()).splitlines():
                cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
                # | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |
                if len(cells) == 10 and cells[0] == "128":
                    self.add(model, f"batch-{cells[2]}", who, float(cells[7]))

    def rounds(self):
        for model in self.options.models:
            path = self.options.folder / f"{model}.gguf"
            if not path.exists():
                self.note(f"{model} is missing: make weights-synthetic makes it")
                continue
            turns = [(self.ours, precision) for precision in precisions(model)]
            for who in PEER_RUNS:
                if who.startswith("ik") and model.endswith("Q4_1"):
                    self.note(f"{who} is not raced on {model}: its prompt path gives wrong results there")
                else:
                    turns.append((self.peer, who))
            for number in range(self.options.rounds):
                for turn, who in turns:
                    print(f"{model}, round {number + 1} of {self.options.rounds}: {who}", file=sys.stderr)
                    turn(model, path, who)
            for _, who in turns:
                for work in self.options.works:
                    if (model, work, who) not in self.rates:
                        name = who if who in PEER_RUNS else f"parley {who}"
                        self.note(f"{name} gave no rate for {work} on {model}")

    # The table

    def median(self, model, work, who):
        rates = self.rates.get((model, work, who))
        return statistics.median(rates) if rates else None

    def row(self, model, work):
        """Cells of one line, and for each of our precisions whether its bar holds (None: no bar, or not measured)."""
        peers = {who: rate for who in PEER_RUNS if (rate := self.median(model, work, who))}
        if model.endswith("F16"):
            peers_that_count = {who: rate for who, rate in peers.items() if who == "llama.cpp"}
        else:
            peers_that_count = peers
        best = max(peers_that_count, key=peers_that_count.get, default=None)
        cells, verdicts = [work, model], []
        ratios = []
        ours = precisions(model) + [None] * (2 - len(precisions(model)))
        for precision, bar in zip(ours, bars(model, work)):
            rate = self.median(model, work, precision)
            label = " (f32)" if precision == "f32" else ""
            cells.append(number(rate) + label if precision else "–")
            ratio = rate / peers_that_count[best] if rate and best else None
            verdict = None if bar is None or ratio is None else ratio >= bar
            verdicts.append(verdict)
            word = "" if bar is None else f" of {bar:g}: " + ("not measured" if verdict is None else "holds" if verdict else "misses")
            ratios.append((f"{ratio:.2f}" if ratio else "–") + word)
        ik = max((who for who in peers if who.startswith("ik")), key=peers.get, default=None)
        cells.append(number(peers.get("llama.cpp")))
        cells.append(number(peers[ik]) + f" ({ik})" if ik else "–")
        return cells + [best or "–"] + ratios, verdicts

    def table(self):
        heads = ["work", "model", "ours int16", "ours int8", "llama.cpp", "ik (flags)", "best peer", "int16 / best", "int8 / best"]
        lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        verdicts = []
        for model in self.options.models:
            for work in self.options.works:
                if any(key[:2] == (model, work) for key in self.rates):
                    cells, found = self.row(model, work)
                    lines.append("| " + " | ".join(cells) + " |")
                    verdicts += [verdict for verdict in found if verdict is not None]
        lines += ["", f"{sum(verdicts)} bars hold, {len(verdicts) - sum(verdicts)} miss."]
        return "\n".join(lines)

    def report(self):
        machine = self.machine or {}
        facts = [machine.get("processor") or platform.processor(), machine.get("system"), machine.get("kernels")]
        where = ", ".join(filter(None, facts)) + f", {self.options.threads} threads"
        peak = ", ".join(f"{name} {value:.0f}" for name, value in sorted(machine.get("peak", {}).items()))
        versions = PEERS / "VERSIONS"
        built = versions.read_text().strip().replace("\n", "; ") if versions.exists() else "of unknown versions"
        lines = [
            f"## {datetime.date.today()}: against llama.cpp and ik_llama.cpp",
            f"{where}. Peaks: {peak or 'not measured'}.",
            f"Tokens/s, medians of {self.options.rounds} rounds, taking turns. Peers: {built}.",
            "", self.table(), "",
            *[f"- {text}" for text in self.notes],
            "", "Commands: " + "; ".join(f"`{command}`" for command in self.commands) + ".",
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


def precisions(model):
    return ["f32"] if model.endswith("F16") else ["int16", "int8"]


def number(rate):
    return "–" if rate is None else f"{rate:.1f}" if rate < 1000 else f"{rate:.0f}"


def append(path, report):
    """Newest first: in front of the first entry of the log."""
    text = path.read_text()
    place = re.search(r"^## \d", text, re.M)
    at = place.start() if place else len(text)
    path.write_text(text[:at] + report + "\n" + text[at:])


def physical_cores():
    """As Parley counts by default, where the system tells."""
    try:
        pairs = re.findall(r"physical id\s*: (\d+).*?core id\s*: (\d+)", Path("/proc/cpuinfo").read_text(), re.S)
    except OSError:
        pairs = []
    return len(set(pairs)) or 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help=f"names without .gguf; default: {' '.join(MODELS)}")
    parser.add_argument("--works", nargs="+", default=WORKS, choices=WORKS + ["batch-4", "batch-16", "batch-64"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--folder", type=Path, default=ROOT / "weights", help="where the models lie")
    parser.add_argument("--parley", type=Path, default=ROOT / ".build/release/parley")
    parser.add_argument("--append", type=Path, metavar="LOG.md", help="put the report in front of this log's entries")
    parser.add_argument("--verbose", action="store_true", help="show every command")
    options = parser.parse_args()
    options.folder, options.parley = options.folder.resolve(), options.parley.resolve()
    race = Race(options)
    race.rounds()
    if not race.rates:
        sys.exit("bench_peers: nothing was measured")
    report = race.report()
    print(report)
    if options.append:
        append(options.append, report)


if __name__ == "__main__":
    main()
