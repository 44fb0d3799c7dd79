"""Makes Tests/Fixtures/tensorboard.*: lines of metrics, and the event file TensorBoard's own writer makes of them.

Run it in an environment with the PyPI package `tensorboard` (tools/test_tensorboard.sh makes one). It prints lines for MANIFEST.
"""

import hashlib
import json
import math
import pathlib

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "Tests/Fixtures"
TIME = 1764000000.25

STEP = {
    "step": 7, "epoch": 0.875, "loss": 0.0, "grad_norm": 0.1, "learning_rate": 1e-5, "num_tokens": 20000003,
    "logps/chosen": -10.5, "logps/rejected": -20.25, "rewards/chosen": -0.0, "rewards/rejected": -1e-300,
    "rewards/margins": 1e300, "rewards/accuracies": 1, "h": 2.5, "tokens_per_second": 580.125, "elapsed": 3, "remaining": 9,
}
SKIPPED = {**STEP, "step": 300, "loss": "NaN", "grad_norm": "Infinity", "target": -1.5, "skipped": True}
EVALUATION = {
    "step": 300, "epoch": 1, "eval_loss": 0.7, "eval_logps/chosen": -1, "eval_logps/rejected": -2, "eval_rewards/chosen": 0.1,
    "eval_rewards/rejected": 0.2, "eval_rewards/margins": -0.1, "eval_rewards/accuracies": 0,
}
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def event(record):
    values = []
    for name, value in sorted(record.items()):
        if name == "step" or isinstance(value, bool):
            continue
        number = SPECIAL.get(value, value)
        if abs(number) > 1e39:
            number = math.copysign(math.inf, number)
        values.append(summary_pb2.Summary.Value(tag=name, simple_value=number))
    return event_pb2.Event(wall_time=TIME, step=record["step"], summary=summary_pb2.Summary(value=values))


def main():
    records = [STEP, SKIPPED, EVALUATION]
    lines = FIXTURES / "tensorboard.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    events = FIXTURES / "tensorboard.tfevents"
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    with events.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(event_pb2.Event(wall_time=TIME, file_version="brain.Event:2").SerializeToString())
        writer.write(event_pb2.Event(wall_time=TIME, step=7, session_log=start).SerializeToString())
        for record in records:
            writer.write(event(record).SerializeToString())
    for path in [lines, events]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(path.name, "tools/make_tensorboard_fixture.py", "-", digest)


if __name__ == "__main__":
    main()
