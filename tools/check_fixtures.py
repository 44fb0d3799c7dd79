"""Checks Tests/Fixtures against its MANIFEST: every file listed, its maker there, its SHA-256 right.

A line of the manifest: file, maker, seed (- when nothing is random), SHA-256. Exit code 1 otherwise.
"""

import hashlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "Tests/Fixtures"


def read_manifest():
    lines = (FIXTURES / "MANIFEST").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def problems():
    listed = set()
    for fields in read_manifest():
        if len(fields) != 4:
            yield f"MANIFEST: expected file, maker, seed, SHA-256, found {' '.join(fields)!r}."
            continue
        name, maker, _, sha256 = fields
        listed.add(name)
        path = FIXTURES / name
        if not path.is_file():
            yield f"{name} is in MANIFEST but not in the folder. Run {maker}."
        elif (found := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
            yield f"{name} has SHA-256 {found}, MANIFEST says {sha256}. If it was re-made, correct MANIFEST."
        if not (ROOT / maker).is_file():
            yield f"{name} was made by {maker}, which does not exist."
    for path in sorted(FIXTURES.rglob("*")):
        name = path.relative_to(FIXTURES).as_posix()
        if path.is_file() and name not in listed | {"MANIFEST"}:
            yield f"{name} is not in MANIFEST. Add: file, maker, seed, SHA-256."


def main():
    found = list(problems())
    for text in found:
        print(f"fixtures: {text}", file=sys.stderr)
    if not found:
        print(f"fixtures: {len(read_manifest())} as listed.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
