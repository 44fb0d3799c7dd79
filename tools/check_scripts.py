"""Checks the syntax of every Python and shell script of the repository without running any.

Writes nothing: no __pycache__ is left behind. Exit code 1 when a script does not parse.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("tools", "weights", ".ci")


def problem(path):
    """Returns what is wrong with one script, or None."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        try:
            compile(text, str(path), "exec")
        except SyntaxError as error:
            return f"{path.relative_to(ROOT)}:{error.lineno}: {error.msg}"
    elif path.suffix == ".sh" or text.startswith("#!/usr/bin/env bash"):
        run = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
        if run.returncode:
            return run.stderr.strip()
    return None


def main():
    scripts = [
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).iterdir())
        if path.is_file() and (path.suffix in (".py", ".sh") or path.name == "run")
    ]
    problems = [text for text in map(problem, scripts) if text]
    for text in problems:
        print(text, file=sys.stderr)
    if not problems:
        print(f"scripts: {len(scripts)} parse.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
