"""Checks the prompt files of weights/: records, ids, sizes, and that no prompt repeats another.

Two prompts count as near-duplicates when more than half of their distinct content words are shared.
A held-out prompt that resembles a training prompt would flatter every evaluation.
"""

import itertools
import json
import pathlib
import re
import sys

WEIGHTS = pathlib.Path(__file__).resolve().parent.parent / "weights"
SMALLEST = {"train": 256, "heldout": 96}
MOST_SHARED = 0.5
FILLER = set(
    "a an and are be can do does for how i in is it me my of on or should that the this to two three "
    "four five we what which why with write you your name give list explain difference between".split()
)


def read(kind):
    prompts = []
    path = WEIGHTS / f"prompts-{kind}.jsonl"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        record = json.loads(line)
        if record.keys() != {"id", "prompt"} or record["id"] != f"{kind}-{number:03d}":
            raise ValueError(f"{path.name}:{number}: expected an id '{kind}-{number:03d}' and a prompt")
        prompts.append((record["id"], record["prompt"]))
    if len(prompts) < SMALLEST[kind]:
        raise ValueError(f"{path.name} holds {len(prompts)} prompts, at least {SMALLEST[kind]} needed")
    return prompts


def words(prompt):
    return frozenset(re.findall(r"[a-z0-9]+", prompt.lower())) - FILLER


def main():
    try:
        prompts = [(name, text, words(text)) for kind in SMALLEST for name, text in read(kind)]
    except ValueError as error:
        print(f"prompts: {error}", file=sys.stderr)
        return 1
    alike = [
        f"prompts: {a} and {b} are too alike: {first!r}, {second!r}"
        for (a, first, x), (b, second, y) in itertools.combinations(prompts, 2)
        if first == second or len(x & y) > MOST_SHARED * len(x | y)
    ]
    print(*alike or [f"prompts: {len(prompts)} differ from each other."], sep="\n")
    return 1 if alike else 0


if __name__ == "__main__":
    sys.exit(main())
