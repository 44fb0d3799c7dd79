#!/usr/bin/env bash
# Reads what `parley train --tensorboard` wrote with the PyPI package `tensorboard` itself, which goes into an environment of
# its own under .build (180 MB, a quarter of a minute).
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.build/tensorboard
if ! "$venv/bin/python" -c 'import tensorboard' 2> /dev/null; then
  echo "test-tensorboard: installing tensorboard into $venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'tensorboard>=2.16,<3'
fi
"$venv/bin/python" tools/test_tensorboard.py "$@"
