"""Trains on a few pairs, kills the program on its way, resumes it, and reads the events with TensorBoard's own reader.

Every number of metrics.jsonl must be there under its name, at its step, once: the steps that were done twice too. Needs the
built program, the small model and the package `tensorboard`: run tools/test_tensorboard.sh.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import tempfile
import time

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = pathlib.Path(__file__).resolve().parent.parent


def write_pairs(path, prompts):
    records = [{"prompt": prompt, "chosen": "Yes.", "rejected": "No, I will not say."} for prompt in prompts]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def metrics(out):
    path = out / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def train(options, folder):
    """Returns the lines of metrics of a run that was killed between two checkpoints and resumed."""
    write_pairs(folder / "pairs.jsonl", [f"Is {n} a number?" for n in range(6)])
    write_pairs(folder / "held-out.jsonl", ["Is it late?", "Is it far?"])
    out = folder / "out"
    command = [
        options.parley, "train", options.model, "--pairs", folder / "pairs.jsonl", "--out", out, "--rank", "2", "--targets",
        "attn_q", "--batch", "1", "--epochs", "3", "--lr", "1e-3", "--checkpoint-steps", "4", "--eval-pairs",
        folder / "held-out.jsonl", "--eval-steps", "3", "--tensorboard", folder / "board", "--resume",
    ]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while running.poll() is None and sum("loss" in line for line in metrics(out)) < 6:
        time.sleep(0.001)
    assert running.poll() is None, "the program ended before it could be killed"
    running.kill()
    running.wait()
    subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
    return metrics(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parley", default=ROOT / ".build/release/parley")
    parser.add_argument("--model", default=ROOT / "weights/SmolLM2-135M-Instruct.Q4_1.gguf")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lines = train(options, folder)
        files = sorted(path.name for path in (folder / "board").iterdir())
        assert len(files) == 2, f"one file for each start, not {files}"
        events = EventAccumulator(str(folder / "board"), size_guidance={"scalars": 0})
        events.Reload()

        want = collections.defaultdict(list)
        for line in lines:
            for tag, value in line.items():
                if tag != "step":
                    want[tag].append((line["step"], float(numpy.float32(value))))
        got = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        assert set(got) == set(want), f"tags {sorted(got)}, wanted {sorted(want)}"
        for tag, values in want.items():
            assert got[tag] == values, f"{tag}: {got[tag]}, wanted {values}"
        assert len(want["loss"]) == 18 and len(want["eval_loss"]) == 6
        print(f"test-tensorboard: {len(want)} curves of {files} have the values of metrics.jsonl.")


if __name__ == "__main__":
    main()
