"""Makes Tests/Fixtures/responses-smollm2.json: 32 answers of the small model and what float64 arithmetic says about them.

    python3 tools/make_response_fixture.py

The answers are the model's own, drawn by the built program (make build): 4 to each of 8 prompts, seed 1, at most 64 tokens. Only
their ids come from there; the log-probs are those of reference.py, which shares no code with it. Needs numpy and the model.
"""

import hashlib
import json
import pathlib
import subprocess
import tempfile

import numpy as np

from reference import Llama, next_logps

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS = 8
DECIMALS = 10


def answers(path):
    lines = (ROOT / "weights/prompts-heldout.jsonl").read_text(encoding="utf-8").splitlines()[:PROMPTS]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as prompts:
        prompts.write("\n".join(lines))
        prompts.flush()
        command = [ROOT / ".build/release/parley", "generate", path, "--prompts", prompts.name, "--quiet"]
        command += ["-n", "4", "--max-tokens", "64", "--seed", "1"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        record = json.loads(line)
        yield record["prompt_ids"], [response["token_ids"] for response in record["responses"]]


def main():
    path = ROOT / "weights" / MODEL
    model = Llama(path)
    records = []
    for prompt, responses in answers(path):
        scored = []
        for ids in responses:
            every = prompt + ids
            logps = next_logps(model.logits(every), every)[len(prompt) - 1 :]
            scored.append({"token_ids": ids, "logps": np.round(logps, DECIMALS).tolist()})
        records.append({"prompt_ids": prompt, "responses": scored})
        print(f"{len(records)} of {PROMPTS} prompts", flush=True)
    fixture = {
        "maker": "tools/make_response_fixture.py",
        "model": MODEL,
        "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "records": records,
    }
    target = ROOT / "Tests/Fixtures/responses-smollm2.json"
    target.write_text(json.dumps(fixture) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
